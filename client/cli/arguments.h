// What is wrong with an argument, in words that follow its flag; empty if nothing is. What can never be right is found
// before anything is sent, with the rules that the nodes have; limits that are a node's flags (the size of a payload)
// are left to the nodes.
#ifndef FILA_CLIENT_CLI_ARGUMENTS_H_
#define FILA_CLIENT_CLI_ARGUMENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace fila::cli {

// Of the value of --queue, which must not be empty: the queue "default" is meant where the flag is missing.
std::string QueueTrouble(const std::string& text);
std::string TaskIdTrouble(const std::string& text);
std::string WorkerIdTrouble(const std::string& text);
std::string ServerTrouble(const std::string& text);
std::string CommandTrouble(const std::string& text);
// Digits, from `least` to `most`.
std::string NumberTrouble(const std::string& text, uint64_t least, uint64_t most);
// "5s", "1m30s", "100ms", from `least` to `most`.
std::string DurationTrouble(const std::string& text, absl::Duration least, absl::Duration most);

// The value of an environment variable; empty if it is not set.
std::string OfEnvironment(const char* variable);
// The servers that FILA_SERVERS names, unchecked; none if it is not set or empty.
std::vector<std::string> ServersOfEnvironment();

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_ARGUMENTS_H_
