#include "server/security/auth_file.h"

#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/names.h"
#include "common/quoted.h"

namespace fila::security {
namespace {

constexpr absl::string_view kHashPrefix = "sha256:";
constexpr size_t kHashDigits = 64;
constexpr size_t kNameBytesMax = 80;
constexpr std::array<std::pair<std::string_view, Permission>, 3> kQueueRights = {
    {{"enqueue", Permission::kEnqueue}, {"dequeue", Permission::kDequeue}, {"admin", Permission::kAdmin}}};

// Reads one file.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  absl::StatusOr<std::shared_ptr<const AuthTable>> Read(const toml::table& file);

 private:
  using Texts = absl::StatusOr<std::vector<std::string>>;

  absl::Status Wrong(const toml::node& at, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", at.source().begin.line, ": ", what));
  }

  absl::Status ReadCaller(const toml::table& table);
  absl::Status ReadName(const toml::table& table, std::string* name);
  absl::Status ReadRight(const toml::node& value, absl::string_view key, QueuePatterns* queues) const;
  absl::Status AddTokens(const toml::node& value, const std::shared_ptr<const CallerEntry>& entry);
  absl::Status AddCertificates(const toml::node& value, const std::shared_ptr<const CallerEntry>& entry);
  Texts TextsOf(const toml::node& value, absl::string_view key) const;

  const std::string path_;
  std::set<std::string> names_;
  AuthTable table_;
};

absl::StatusOr<std::shared_ptr<const AuthTable>> Reader::Read(const toml::table& file) {
  for (const auto& [key, value] : file) {
    if (key.str() != "caller") {
      return Wrong(value, absl::StrCat(Quoted(std::string(key.str())), " is unknown here: callers are [[caller]]"));
    }
  }
  const toml::node* callers = file.get("caller");
  const toml::array* list = callers == nullptr ? nullptr : callers->as_array();
  if (list == nullptr || list->empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": names no caller: each is a [[caller]] with a name"));
  }
  for (const toml::node& one : *list) {
    const toml::table* caller = one.as_table();
    if (caller == nullptr) return Wrong(one, "callers are written as [[caller]]");
    if (absl::Status status = ReadCaller(*caller); !status.ok()) return status;
  }
  return std::make_shared<const AuthTable>(std::move(table_));
}

absl::Status Reader::ReadCaller(const toml::table& table) {
  auto entry = std::make_shared<CallerEntry>();
  if (absl::Status status = ReadName(table, &entry->name); !status.ok()) return status;
  for (const auto& [key, value] : table) {
    absl::Status status;
    const auto right = std::find_if(kQueueRights.begin(), kQueueRights.end(),
                                    [name = key.str()](const auto& known) { return known.first == name; });
    if (right != kQueueRights.end()) {
      status = ReadRight(value, std::string(right->first), &entry->queues[static_cast<size_t>(right->second)]);
    } else if (key.str() == "monitor") {
      if (!value.is_boolean()) return Wrong(value, "\"monitor\" is true or false");
      if (**value.as_boolean()) entry->queues[static_cast<size_t>(Permission::kMonitor)].Add("*");
    } else if (key.str() == "tokens") {
      status = AddTokens(value, entry);
    } else if (key.str() == "certificates") {
      status = AddCertificates(value, entry);
    } else if (key.str() != "name") {
      status = Wrong(value, absl::StrCat(Quoted(std::string(key.str())), " is unknown: a caller has name, tokens, ",
                                         "certificates, enqueue, dequeue, admin, monitor"));
    }
    if (!status.ok()) return status;
  }
  const bool shows_something = table.contains("tokens") || table.contains("certificates");
  // One without either is nobody yet, or no longer: that is how a token is taken away.
  if (entry->name != kAnonymous) return absl::OkStatus();
  if (shows_something) return Wrong(table, "\"anonymous\" is who shows nothing: it has no tokens or certificates");
  table_.anonymous = std::move(entry);
  return absl::OkStatus();
}

absl::Status Reader::ReadName(const toml::table& table, std::string* name) {
  const toml::node* value = table.get("name");
  const auto* text = value == nullptr ? nullptr : value->as_string();
  const auto printable = [](char c) { return absl::ascii_isgraph(c); };
  if (text == nullptr || (**text).empty() || (**text).size() > kNameBytesMax ||
      !std::all_of((**text).begin(), (**text).end(), printable)) {
    return Wrong(value == nullptr ? static_cast<const toml::node&>(table) : *value,
                 absl::StrCat("a caller has a \"name\" of 1 to ", kNameBytesMax, " visible ASCII characters"));
  }
  *name = **text;
  if (!names_.insert(*name).second) return Wrong(*value, absl::StrCat("there are two callers ", Quoted(*name)));
  return absl::OkStatus();
}

Reader::Texts Reader::TextsOf(const toml::node& value, absl::string_view key) const {
  const toml::array* list = value.as_array();
  std::vector<std::string> texts;
  if (list != nullptr) {
    for (const toml::node& one : *list) {
      if (one.is_string()) texts.push_back(**one.as_string());
    }
  }
  if (list == nullptr || texts.size() != list->size()) {
    return Wrong(value, absl::StrCat("\"", key, "\" is a list of texts, such as [\"a\", \"b\"]"));
  }
  return texts;
}

absl::Status Reader::ReadRight(const toml::node& value, absl::string_view key, QueuePatterns* queues) const {
  const Texts texts = TextsOf(value, key);
  if (!texts.ok()) return texts.status();
  for (const std::string& pattern : *texts) {
    absl::string_view name = pattern;
    const bool prefix = !name.empty() && name.back() == '*';
    // What a name can begin with is a name once a letter follows.
    const std::string whole = prefix ? absl::StrCat(name.substr(0, name.size() - 1), "a") : pattern;
    if (!IsQueueName(whole)) {
      return Wrong(value, absl::StrCat(Quoted(pattern), " in \"", key,
                                       "\" is no queue's name, nor the beginning of one with a * behind it"));
    }
    queues->Add(pattern);
  }
  return absl::OkStatus();
}

absl::Status Reader::AddTokens(const toml::node& value, const std::shared_ptr<const CallerEntry>& entry) {
  const Texts texts = TextsOf(value, "tokens");
  if (!texts.ok()) return texts.status();
  for (const std::string& text : *texts) {
    const std::string digits = absl::AsciiStrToLower(absl::StripPrefix(text, kHashPrefix));
    const bool hexadecimal = std::all_of(digits.begin(), digits.end(), [](char c) { return absl::ascii_isxdigit(c); });
    // What was given is not repeated: it may be a token.
    if (!absl::StartsWith(text, kHashPrefix) || digits.size() != kHashDigits || !hexadecimal) {
      return Wrong(value, absl::StrCat("\"tokens\" takes the SHA-256 of a token, not the token: \"sha256:\" and ",
                                       kHashDigits, " hexadecimal digits (printf %s TOKEN | sha256sum)"));
    }
    if (!table_.by_token.emplace(digits, entry).second) {
      return Wrong(value, absl::StrCat("the token with the hash ", digits.substr(0, 8), "... is there twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::AddCertificates(const toml::node& value, const std::shared_ptr<const CallerEntry>& entry) {
  const Texts texts = TextsOf(value, "certificates");
  if (!texts.ok()) return texts.status();
  for (const std::string& name : *texts) {
    if (name.empty()) return Wrong(value, "\"certificates\" holds an empty name");
    if (!table_.by_certificate.emplace(name, entry).second) {
      return Wrong(value, absl::StrCat("the certificate name ", Quoted(name), " is there twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void QueuePatterns::Add(absl::string_view pattern) {
  if (pattern == "*") {
    all_ = true;
  } else if (pattern.back() == '*') {
    prefixes_.emplace_back(pattern.substr(0, pattern.size() - 1));
  } else {
    names_.emplace(std::string(pattern));
  }
}

bool QueuePatterns::Match(absl::string_view queue) const {
  if (all_ || names_.find(queue) != names_.end()) return true;
  return std::any_of(prefixes_.begin(), prefixes_.end(),
                     [queue](const std::string& prefix) { return queue.substr(0, prefix.size()) == prefix; });
}

absl::StatusOr<std::shared_ptr<const AuthTable>> ParseAuthFile(const std::string& path, absl::string_view text) {
  toml::table parsed;
  try {
    parsed = toml::parse(std::string_view(text.data(), text.size()));
  } catch (const toml::parse_error& error) {
    // Not what stands there: it may be a token.
    return absl::InvalidArgumentError(absl::StrCat(path, ":", error.source().begin.line, ": this is no TOML"));
  }
  return Reader(path).Read(parsed);
}

}  // namespace fila::security
