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

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/tpm_key.h"

namespace wattle::tls {
namespace {

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

// Of a client that shows its own certificate alone, such as most browsers, these lead to the root.
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

// No tickets and no cache: a certificate is judged anew by every connection.
bool SetRules(SSL_CTX* context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  // Whoever answers says why an expired certificate is refused; a handshake could not.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_NO_CHECK_TIME);
  return SSL_CTX_set_num_tickets(context, 0) == 1 &&
         SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1;
}

}  // namespace

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
                                                                   RootsSource client_roots) {
  // OpenSSL writes to sockets without MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<ServerContext> context(new ServerContext(own, std::move(client_roots)));
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
    return Unusable(own_, "cannot serve HTTPS");
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
