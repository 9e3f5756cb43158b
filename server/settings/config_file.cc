#include "server/settings/config_file.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/config.h"

namespace fila {
namespace {

absl::Status Wrong(const std::string& where, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", what));
}

absl::StatusOr<std::string> Read(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kConfigFileBytesMax + 1, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && !file.eof()) {
    return Wrong(path,
                 absl::StrCat("this file of settings can't be read (", std::strerror(errno), "); check --config"));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kConfigFileBytesMax) {
    return Wrong(path, absl::StrCat("a file of settings has at most ", FormatSize(kConfigFileBytesMax),
                                    "; this is more: check --config"));
  }
  return text;
}

// One text for a list of them; nothing if it holds anything else.
std::optional<std::string> Joined(const toml::array& array) {
  std::vector<std::string> texts;
  for (const toml::node& element : array) {
    if (!element.is_string()) return std::nullopt;
    texts.push_back(**element.as_string());
  }
  return absl::StrJoin(texts, ",");
}

std::optional<std::string> TextOf(const toml::node& value, NodeSetting::Form form) {
  if (const auto* text = value.as_string()) return **text;
  if (const auto* number = value.as_integer()) return absl::StrCat(**number);
  if (const auto* on = value.as_boolean()) return std::string(**on ? "true" : "false");
  if (const auto* list = value.as_array(); list != nullptr && form == NodeSetting::Form::kList) return Joined(*list);
  return std::nullopt;
}

const NodeSetting* Find(std::string_view name) {
  const std::vector<NodeSetting>& settings = NodeSettings();
  const auto found = std::find_if(settings.begin(), settings.end(), [&](const auto& s) { return s.name == name; });
  return found == settings.end() ? nullptr : &*found;
}

absl::StatusOr<FileSetting> Check(const std::string& where, std::string_view name, const toml::node& value) {
  const NodeSetting* setting = Find(name);
  if (value.is_table()) {
    return Wrong(where,
                 absl::StrCat("\"", std::string(name), "\" is a section: settings have none, only name = value"));
  }
  if (setting == nullptr) {
    return Wrong(where, absl::StrCat("\"", std::string(name), "\" is no setting: filad --help lists them"));
  }
  std::optional<std::string> text = TextOf(value, setting->form);
  if (!text.has_value()) {
    return Wrong(where, absl::StrCat("\"", setting->name, "\" takes ", setting->value_name,
                                     ": give it as a text, such as the flag takes"));
  }
  if (text->find('\0') != std::string::npos) return Wrong(where, absl::StrCat("\"", setting->name, "\" holds a NUL"));
  NodeConfig scratch;
  if (const absl::Status status = setting->set(*text, &scratch); !status.ok()) {
    return Wrong(where, absl::StripPrefix(status.message(), "--"));
  }
  return FileSetting{.text = *std::move(text), .where = where};
}

}  // namespace

absl::StatusOr<std::map<std::string, FileSetting>> ReadConfigFile(const std::string& path) {
  const absl::StatusOr<std::string> text = Read(path);
  if (!text.ok()) return text.status();
  const auto at = [&path](const toml::source_region& source) { return absl::StrCat(path, ":", source.begin.line); };
  toml::table parsed;
  try {
    parsed = toml::parse(*text);
  } catch (const toml::parse_error& error) {
    return Wrong(at(error.source()), absl::StrCat("this is no TOML: ", std::string(error.description())));
  }
  std::map<std::string, FileSetting> settings;
  // In the order of the lines, so that the first mistake is named.
  std::vector<std::pair<std::string, const toml::node*>> values;
  for (const auto& [key, value] : parsed) values.emplace_back(std::string(key.str()), &value);
  std::sort(values.begin(), values.end(),
            [](const auto& a, const auto& b) { return a.second->source().begin.line < b.second->source().begin.line; });
  for (const auto& [name, value] : values) {
    absl::StatusOr<FileSetting> setting = Check(at(value->source()), name, *value);
    if (!setting.ok()) return setting.status();
    settings.emplace(name, *std::move(setting));
  }
  return settings;
}

}  // namespace fila
