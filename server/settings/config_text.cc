#include "server/settings/config_text.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace fila {
namespace {

constexpr size_t kCommentColumns = 100;

std::string TomlString(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      quoted.push_back(c);
    }
  }
  quoted.push_back('"');
  return quoted;
}

std::string TomlValue(const NodeSetting& setting, const NodeConfig& config) {
  const std::string text = setting.get(config);
  switch (setting.form) {
    case NodeSetting::Form::kNumber:
    case NodeSetting::Form::kSwitch:
      return text;
    case NodeSetting::Form::kList: {
      const std::vector<std::string> parts = absl::StrSplit(text, ',', absl::SkipEmpty());
      return absl::StrCat(
          "[",
          absl::StrJoin(parts, ", ", [](std::string* out, const std::string& part) { out->append(TomlString(part)); }),
          "]");
    }
    case NodeSetting::Form::kText:
      break;
  }
  return TomlString(text);
}

// As a comment, in lines of a readable length.
std::string Comment(absl::string_view text) {
  std::string lines = "#";
  size_t line_begin = 0;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (lines.size() - line_begin + 1 + word.size() > kCommentColumns) {
      lines.append("\n#");
      line_begin = lines.size() - 1;
    }
    absl::StrAppend(&lines, " ", word);
  }
  return absl::StrCat(lines, "\n");
}

}  // namespace

std::string ConfigText(const NodeConfig& config, const std::map<std::string, std::string>& origins) {
  std::string text;
  for (const NodeSetting& setting : NodeSettings()) {
    absl::StrAppend(&text, setting.name, " = ", TomlValue(setting, config));
    const auto origin = origins.find(setting.name);
    if (origin != origins.end()) {
      // It may name a file, of any name; a comment is a line of text.
      std::string told = origin->second;
      std::replace_if(
          told.begin(), told.end(), [](char c) { return absl::ascii_iscntrl(c); }, '?');
      absl::StrAppend(&text, "  # ", told);
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string ConfigTemplate() {
  NodeConfig config;
  CompleteNodeConfig(&config).IgnoreError();  // the defaults fit together
  std::string text =
      "# The settings of a node, each with its default: filad --config FILE\n"
      "# A flag counts before the environment (FILA_PORT for port), the environment before this file.\n"
      "# filad --print-config shows what is in force, and where each value comes from.\n";
  for (const NodeSetting& setting : NodeSettings()) {
    absl::StrAppend(&text, "\n", Comment(setting.help), "#", setting.name, " = ", TomlValue(setting, config), "\n");
  }
  return text;
}

}  // namespace fila
