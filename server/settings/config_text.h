// A node's settings written out as a file that --config takes.
#ifndef FILA_SERVER_SETTINGS_CONFIG_TEXT_H_
#define FILA_SERVER_SETTINGS_CONFIG_TEXT_H_

#include <map>
#include <string>

#include "common/config.h"

namespace fila {

// Every setting with its value. `origins`: where each comes from, by name; it stands beside the value.
std::string ConfigText(const NodeConfig& config, const std::map<std::string, std::string>& origins);

// Every setting with what it does, its unit, range and default; the values, a lone node's defaults, are commented out.
// docker/fila.toml is this text.
std::string ConfigTemplate();

}  // namespace fila

#endif  // FILA_SERVER_SETTINGS_CONFIG_TEXT_H_
