// Plain tables for people.
#ifndef FILA_CLIENT_CLI_TABLE_H_
#define FILA_CLIENT_CLI_TABLE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace fila::cli {

// Rows of cells, the first being the headings; columns are as wide as they must be. Numbers are set to the right.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// "3.2s", "5m10s": an age at a glance.
std::string Age(const google::protobuf::Duration& age);

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_TABLE_H_
