// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/server_session.h"

#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include <climits>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/tpm_key.h"

namespace wattle::tls {
namespace {

constexpr absl::string_view kHttp2Name = "h2";  // RFC 9113, 3.2.
constexpr absl::string_view kHttp1Name = "http/1.1";

absl::Status Unusable(const CertificateFiles& own, absl::string_view what) {
  std::array<char, 256> reason = {};
  ERR_error_string_n(ERR_get_error(), reason.data(), reason.size());
  ERR_clear_error();
  return absl::FailedPreconditionError(
      absl::StrCat(own.chain_path, ": ", what, ": OpenSSL says ", reason.data(),
                   "; it wants the certificate of the key ", own.key_path));
}

// Clients choose by these names which of their certificates they show.
bool AddRoots(const std::string& roots_pem, SSL_CTX* context) {
  BIO* const bio = BIO_new_mem_buf(roots_pem.data(), static_cast<int>(roots_pem.size()));
  bool added = bio != nullptr;
  while (added) {
    X509* const root = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    if (root == nullptr) {
      break;
    }
    added = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root) == 1 &&
            SSL_CTX_add_client_CA(context, root) == 1;
    X509_free(root);
  }
  BIO_free_all(bio);
  ERR_clear_error();
  return added;
}

// Adds the issuers of our own certificate. Clients such as most browsers send only their own
// certificate, and these issuers link it to the root.
bool AddIssuers(SSL_CTX* context) {
  STACK_OF(X509)* own = nullptr;
  bool added = SSL_CTX_get0_chain_certs(context, static_cast<void*>(&own)) == 1;
  for (int i = 0; added && i < sk_X509_num(own); ++i) {
    added = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), sk_X509_value(own, i)) == 1;
  }
  return added;
}

bool UseKey(const std::string& path, SSL_CTX* context) {
  const absl::StatusOr<std::string> pem = ReadWholeFile(path);
  if (!pem.ok() || !IsTpmKey(*pem)) {
    return SSL_CTX_use_PrivateKey_file(context, path.c_str(), SSL_FILETYPE_PEM) == 1;
  }
  const absl::StatusOr<EVP_PKEY*> key = OpenTpmKey(*pem);
  const bool used = key.ok() && SSL_CTX_use_PrivateKey(context, *key) == 1;
  EVP_PKEY_free(key.value_or(nullptr));
  return used;
}

absl::string_view Chosen(const ssl_st* connection) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(connection, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

// Called by OpenSSL with what the client offers, before the certificate is asked for.
int Choose(SSL* connection, const unsigned char** chosen, unsigned char* chosen_size,
           const unsigned char* offered, unsigned offered_size, void* /*argument*/) {
  const absl::string_view names(reinterpret_cast<const char*>(offered), offered_size);
  for (size_t at = 0; at < names.size();) {
    const absl::string_view name = names.substr(at + 1, static_cast<uint8_t>(names[at]));
    at += 1 + name.size();
    const bool is_http2 = name == kHttp2Name;
    if (!is_http2 && name != kHttp1Name) {
      continue;
    }
    if (is_http2) {
      SSL_set_verify(connection, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    *chosen = reinterpret_cast<const unsigned char*>(name.data());
    *chosen_size = static_cast<unsigned char>(name.size());
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// No tickets and no cache: a certificate is judged anew by every connection.
bool SetRules(SSL_CTX* context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);  // A record by one call of the kernel.
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  // Whoever answers says why an expired certificate is refused; a handshake could not.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_NO_CHECK_TIME);
  return SSL_CTX_set_num_tickets(context, 0) == 1 &&
         SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1;
}

}  // namespace

bool ServerSession::is_http2() const {
  return Chosen(connection_) == kHttp2Name;
}

std::string PeerCertificate(const ssl_st* connection) {
  X509* const certificate = connection == nullptr ? nullptr : SSL_get1_peer_certificate(connection);
  if (certificate == nullptr) {
    return "";
  }
  BIO* const bio = BIO_new(BIO_s_mem());
  std::string pem;
  if (bio != nullptr && PEM_write_bio_X509(bio, certificate) == 1) {
    char* data = nullptr;
    const auto size = static_cast<size_t>(BIO_get_mem_data(bio, &data));
    pem.assign(data, size);
  }
  BIO_free_all(bio);
  X509_free(certificate);
  return pem;
}

std::string PeerUri(const ssl_st* connection) {
  const X509* const certificate = SSL_get0_peer_certificate(connection);
  auto* const names = certificate == nullptr
                          ? nullptr
                          : static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(
                                certificate, NID_subject_alt_name, nullptr, nullptr));
  std::string uri;
  for (int i = 0; uri.empty() && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_URI) {
      const ASN1_IA5STRING* const text = name->d.uniformResourceIdentifier;
      uri.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                 static_cast<size_t>(ASN1_STRING_length(text)));
    }
  }
  GENERAL_NAMES_free(names);
  ERR_clear_error();
  return uri;
}

ServerSession::~ServerSession() {
  if (!broken_ && SSL_is_init_finished(connection_) == 1) {
    ERR_clear_error();
    SSL_shutdown(connection_);
  }
  SSL_free(connection_);
  ERR_clear_error();
}

ServerSession::Step ServerSession::After(int result) {
  if (result > 0) {
    return {.bytes = result};
  }
  const int error = SSL_get_error(connection_, result);
  lacks_certificate_ = ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ) {
    return {.wants = POLLIN};
  }
  if (error == SSL_ERROR_WANT_WRITE) {
    return {.wants = POLLOUT};
  }
  broken_ = error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL;
  return {};
}

ServerSession::Step ServerSession::Handshake() {
  ERR_clear_error();
  return After(SSL_accept(connection_));
}

ServerSession::Step ServerSession::Read(char* bytes, size_t size) {
  ERR_clear_error();
  return After(SSL_read(connection_, bytes, static_cast<int>(std::min<size_t>(size, INT_MAX))));
}

ServerSession::Step ServerSession::Write(const char* bytes, size_t size) {
  ERR_clear_error();
  return After(SSL_write(connection_, bytes, static_cast<int>(std::min<size_t>(size, INT_MAX))));
}

absl::StatusOr<std::unique_ptr<ServerContext>> ServerContext::Open(const CertificateFiles& own,
                                                                   RootsSource client_roots,
                                                                   Protocols protocols) {
  // OpenSSL writes to sockets without MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<ServerContext> context(
      new ServerContext(own, std::move(client_roots), protocols));
  absl::MutexLock lock(&context->mutex_);
  WATTLE_RETURN_IF_ERROR(context->ReadAgain());
  return context;
}

ServerContext::~ServerContext() {
  SSL_CTX_free(context_);
}

ServerContext::FileState ServerContext::StateOf(const std::string& path) {
  struct stat facts = {};
  if (stat(path.c_str(), &facts) != 0) {
    return {};
  }
  return {.inode = facts.st_ino,
          .size = facts.st_size,
          .changed_seconds = facts.st_mtim.tv_sec,
          .changed_nanoseconds = facts.st_mtim.tv_nsec};
}

absl::Status ServerContext::ReadAgain() {
  const FileState state = StateOf(own_.chain_path);
  std::string roots_pem = client_roots_();
  if (context_ != nullptr && state == state_ && roots_pem == roots_pem_) {
    return absl::OkStatus();
  }
  ERR_clear_error();
  SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr || !SetRules(context) || !AddRoots(roots_pem, context) ||
      SSL_CTX_use_certificate_chain_file(context, own_.chain_path.c_str()) != 1 ||
      !UseKey(own_.key_path, context) || SSL_CTX_check_private_key(context) != 1 ||
      !AddIssuers(context)) {
    SSL_CTX_free(context);
    return Unusable(own_, "cannot serve TLS");
  }
  if (protocols_ != Protocols::kHttp1) {
    SSL_CTX_set_alpn_select_cb(context, Choose, nullptr);
  }
  SSL_CTX_free(context_);  // Connections that began with it hold it.
  context_ = context;
  state_ = state;
  roots_pem_ = std::move(roots_pem);
  return absl::OkStatus();
}

std::unique_ptr<ServerSession> ServerContext::Accept(int socket) {
  ssl_st* connection = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    (void)ReadAgain();  // The certificate before serves on where the new file cannot be used.
    connection = SSL_new(context_);
  }
  if (connection == nullptr || SSL_set_fd(connection, socket) != 1) {
    SSL_free(connection);
    ERR_clear_error();
    return nullptr;
  }
  return std::make_unique<ServerSession>(connection);
}

}  // namespace wattle::tls
