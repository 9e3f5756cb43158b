// What only chance may decide. Everything below the node gets it as a value.
#ifndef FILA_SERVER_NODE_RANDOM_H_
#define FILA_SERVER_NODE_RANDOM_H_

#include <cstdint>
#include <string>

namespace fila::node {

// From the system's source; never 0.
uint64_t RandomNumber();
// A random UUID (RFC 4122, version 4) in its usual text.
std::string RandomUuid();

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_RANDOM_H_
