// A file of a node's settings: TOML without sections, a line `name = value` each, named as the flags are, with '_'.
//
// Any value may be written as the text that the flag takes: port = "50053". Numbers and switches may be written
// plainly, lists as an array of texts: port = 50053, preempt = true, peers = ["node1:50051:1", "node2:50052:2"].
#ifndef FILA_SERVER_SETTINGS_CONFIG_FILE_H_
#define FILA_SERVER_SETTINGS_CONFIG_FILE_H_

#include <cstddef>
#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace fila {

// Many times what all settings take; a file that is larger is another one, named by mistake.
inline constexpr size_t kConfigFileBytesMax = size_t{1} << 20;

struct FileSetting {
  std::string text;   // as the flag would have it
  std::string where;  // "fila.toml:7"
};

// By the settings' names. Every value is one that its setting takes. INVALID_ARGUMENT, with one sentence that names the
// file and the line: it can't be read, is too large or no TOML; a name that is no setting or stands there twice; a
// section; a value that the setting does not take.
absl::StatusOr<std::map<std::string, FileSetting>> ReadConfigFile(const std::string& path);

}  // namespace fila

#endif  // FILA_SERVER_SETTINGS_CONFIG_FILE_H_
