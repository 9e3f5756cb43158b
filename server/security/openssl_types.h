// OpenSSL's objects with owners, for the files of this folder.
#ifndef FILA_SERVER_SECURITY_OPENSSL_TYPES_H_
#define FILA_SERVER_SECURITY_OPENSSL_TYPES_H_

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

namespace fila::security {

template <auto kFree>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};

using BioPtr = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Freed<X509_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freed<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>>;

inline void FreeCertificates(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }
inline void FreeInfos(STACK_OF(X509_INFO) * stack) { sk_X509_INFO_pop_free(stack, X509_INFO_free); }
using CertificatesPtr = std::unique_ptr<STACK_OF(X509), Freed<FreeCertificates>>;
using InfosPtr = std::unique_ptr<STACK_OF(X509_INFO), Freed<FreeInfos>>;

}  // namespace fila::security

#endif  // FILA_SERVER_SECURITY_OPENSSL_TYPES_H_
