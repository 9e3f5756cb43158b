// Tokens as an auth file has them.
#ifndef FILA_TESTS_SUPPORT_TOKENS_H_
#define FILA_TESTS_SUPPORT_TOKENS_H_

#include <openssl/sha.h>

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace fila::test {

// "sha256:" and the hash's digits.
inline std::string HashOf(const std::string& token) {
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), hash);
  return absl::StrCat("sha256:", absl::BytesToHexString({reinterpret_cast<const char*>(hash), sizeof(hash)}));
}

}  // namespace fila::test

#endif  // FILA_TESTS_SUPPORT_TOKENS_H_
