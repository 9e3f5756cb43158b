#include "server/settings/flags.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/settings/config_file.h"
#include "server/settings/config_text.h"

namespace fila {
namespace {

constexpr char kFooter[] =
    "Each flag may be written with '-' for '_'. Where a flag is missing, the environment counts (FILA_PORT for "
    "--port), then the file of --config (docker/fila.toml shows one), then the default.\n"
    "Exit codes: 0 stopped by SIGTERM or Ctrl-C (a second one ends it at once: 143, 130), 1 a fault while running, "
    "2 wrong use (nothing was touched).";

// What CLI11 gets: "--heartbeat-timeout=1s" becomes "--heartbeat_timeout" and "1s" (so that "--peers=" is an empty
// value and not a missing one); values are left alone. Reversed, as CLI11 wants it.
std::vector<std::string> Arguments(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (argument.rfind("--", 0) != 0) {
      arguments.push_back(std::move(argument));
      continue;
    }
    const size_t name_end = std::min(argument.find('='), argument.size());
    std::string name = argument.substr(0, name_end);
    std::replace(name.begin() + 2, name.end(), '-', '_');
    arguments.push_back(std::move(name));
    if (name_end < argument.size()) arguments.push_back(argument.substr(name_end + 1));
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

constexpr char kPrefix[] = "FILA_";
constexpr char kConfigVariable[] = "FILA_CONFIG";  // where the file is
// What the `fila` command reads.
constexpr char kServersVariable[] = "FILA_SERVERS";
constexpr char kClientPrefix[] = "FILA_CLIENT_";

std::string VariableOf(const NodeSetting& setting) {
  return absl::StrCat(kPrefix, absl::AsciiStrToUpper(setting.name));
}

// Empty if it is not set, or set to nothing.
std::string Environment(const std::string& variable) {
  const char* text = std::getenv(variable.c_str());
  return text == nullptr ? std::string() : std::string(text);
}

// Somebody may have mistyped a setting; or another program's variables begin alike, so it is no mistake for sure.
void TellOfUnknownVariables() {
  std::set<std::string> known = {kConfigVariable, kServersVariable};
  for (const NodeSetting& setting : NodeSettings()) known.insert(VariableOf(setting));
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string entry = *variable;
    const std::string name = entry.substr(0, entry.find('='));
    if (!absl::StartsWith(name, kPrefix) || absl::StartsWith(name, kClientPrefix) || known.count(name) != 0) continue;
    std::cerr << "filad: " << name << " is in the environment and is no setting: filad --help lists them" << std::endl;
  }
}

// What the command line says.
struct Given {
  std::string text;
  CLI::Option* option = nullptr;
};

struct CommandLine {
  std::vector<Given> settings;  // in the order of NodeSettings
  std::string config_file;
  bool print_config = false;
};

void Declare(CLI::App* app, CommandLine* line) {
  app->set_help_flag("--help", "print this and exit");
  app->set_version_flag("--version", absl::StrCat("filad ", FILA_VERSION), "print the version and exit");
  app->add_option("--config", line->config_file, "a file of settings (default none)")->type_name("FILE")->take_last();
  app->add_flag("--print_config", line->print_config,
                "print what is in force, and where each value comes from, as such a file, and exit");
  app->footer(kFooter);
  app->get_formatter()->column_width(34);
  const std::vector<NodeSetting>& settings = NodeSettings();
  line->settings.resize(settings.size());
  for (size_t i = 0; i < settings.size(); ++i) {
    Given& given = line->settings[i];
    given.option = app->add_option(absl::StrCat("--", settings[i].name), given.text, settings[i].help)
                       ->type_name(settings[i].value_name)
                       ->take_last();
    if (settings[i].form == NodeSetting::Form::kSwitch) given.option->expected(0, 1);
  }
}

// The value that counts and where it comes from; no text: the default.
struct Chosen {
  std::optional<std::string> text;
  std::string origin = "default";
};

Chosen Choose(const NodeSetting& setting, const Given& given, const std::map<std::string, FileSetting>& file) {
  if (given.option->count() > 0) {
    const bool alone = setting.form == NodeSetting::Form::kSwitch && given.text.empty();
    return {.text = alone ? "true" : given.text, .origin = absl::StrCat("--", setting.name)};
  }
  const std::string variable = VariableOf(setting);
  if (std::string text = Environment(variable); !text.empty()) return {.text = std::move(text), .origin = variable};
  const auto found = file.find(setting.name);
  if (found != file.end()) return {.text = found->second.text, .origin = found->second.where};
  return {};
}

// Sets what counts, and says of each setting where it comes from.
absl::Status Apply(const CommandLine& line, NodeConfig* config, std::map<std::string, std::string>* origins) {
  const std::string path = line.config_file.empty() ? Environment(kConfigVariable) : line.config_file;
  std::map<std::string, FileSetting> file;
  if (!path.empty()) {
    absl::StatusOr<std::map<std::string, FileSetting>> read = ReadConfigFile(path);
    if (!read.ok()) return read.status();
    file = *std::move(read);
  }
  const std::vector<NodeSetting>& settings = NodeSettings();
  for (size_t i = 0; i < settings.size(); ++i) {
    const Chosen chosen = Choose(settings[i], line.settings[i], file);
    (*origins)[settings[i].name] = chosen.origin;
    if (!chosen.text.has_value()) continue;
    const absl::Status status = settings[i].set(*chosen.text, config);
    if (status.ok()) continue;
    if (absl::StartsWith(chosen.origin, "--")) return status;
    return absl::Status(status.code(), absl::StrCat(chosen.origin, ": ", absl::StripPrefix(status.message(), "--")));
  }
  return CompleteNodeConfig(config);
}

}  // namespace

int WrongUse(const std::string& what) {
  std::string line = what;
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::cerr << "filad: " << line << std::endl;
  return kExitWrongUse;
}

std::optional<int> ReadFlags(int argc, const char* const* argv, NodeConfig* config) {
  CLI::App app("filad: one node of a replicated task queue", "filad");
  CommandLine line;
  Declare(&app, &line);
  try {
    app.parse(Arguments(argc, argv));
  } catch (const CLI::Success& wish) {
    return app.exit(wish);  // help or version
  } catch (const CLI::ExtrasError&) {
    return WrongUse(absl::StrCat("unknown argument ", app.remaining().front(), ": filad --help lists the flags"));
  } catch (const CLI::ParseError& error) {
    return WrongUse(absl::StrCat(error.what(), ": filad --help lists the flags"));
  }
  std::map<std::string, std::string> origins;
  if (const absl::Status status = Apply(line, config, &origins); !status.ok()) {
    return WrongUse(std::string(status.message()));
  }
  TellOfUnknownVariables();
  if (!line.print_config) return std::nullopt;
  std::cout << ConfigText(*config, origins);
  return 0;
}

}  // namespace fila
