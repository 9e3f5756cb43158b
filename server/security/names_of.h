// A certificate's names, of OpenSSL's object; apart, for who reads certificates without OpenSSL's headers.
#ifndef FILA_SERVER_SECURITY_NAMES_OF_H_
#define FILA_SERVER_SECURITY_NAMES_OF_H_

#include <openssl/x509.h>

#include "server/security/certificate.h"

namespace fila::security {

CertificateNames NamesOf(X509* certificate);

}  // namespace fila::security

#endif  // FILA_SERVER_SECURITY_NAMES_OF_H_
