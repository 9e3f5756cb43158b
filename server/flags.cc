#include "server/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace fila {
namespace {

constexpr char kFooter[] =
    "Each flag may be written with '-' for '_'. Where a flag is missing, the environment counts: FILA_PORT for "
    "--port.\n"
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

// The text of one setting on the command line.
struct Given {
  std::string text;
  CLI::Option* option = nullptr;
};

// Of the flag, else of the environment, else none: the default stays.
absl::Status Set(const NodeSetting& setting, const Given& given, NodeConfig* config) {
  if (given.option->count() > 0) return setting.set(given.text, config);
  const std::string variable = absl::StrCat("FILA_", absl::AsciiStrToUpper(setting.name));
  const char* text = std::getenv(variable.c_str());
  if (text == nullptr || *text == '\0') return absl::OkStatus();
  const absl::Status status = setting.set(text, config);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(variable, ", that is ", status.message()));
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
  app.set_help_flag("--help", "print this and exit");
  app.set_version_flag("--version", absl::StrCat("filad ", FILA_VERSION), "print the version and exit");
  app.footer(kFooter);
  app.get_formatter()->column_width(34);

  const std::vector<NodeSetting>& settings = NodeSettings();
  std::vector<Given> given(settings.size());
  for (size_t i = 0; i < settings.size(); ++i) {
    const NodeSetting& setting = settings[i];
    given[i].option = app.add_option(absl::StrCat("--", setting.name), given[i].text, setting.help)
                          ->type_name(setting.value_name)
                          ->take_last();
  }
  try {
    app.parse(Arguments(argc, argv));
  } catch (const CLI::Success& wish) {
    return app.exit(wish);  // help or version
  } catch (const CLI::ExtrasError&) {
    return WrongUse(absl::StrCat("unknown argument ", app.remaining().front(), ": filad --help lists the flags"));
  } catch (const CLI::ParseError& error) {
    return WrongUse(absl::StrCat(error.what(), ": filad --help lists the flags"));
  }
  for (size_t i = 0; i < settings.size(); ++i) {
    if (const absl::Status status = Set(settings[i], given[i], config); !status.ok()) {
      return WrongUse(std::string(status.message()));
    }
  }
  if (const absl::Status status = CompleteNodeConfig(config); !status.ok()) {
    return WrongUse(std::string(status.message()));
  }
  return std::nullopt;
}

}  // namespace fila
