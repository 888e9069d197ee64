// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/certificate_chain.h"

#include <arpa/inet.h>

#include <array>
#include <ctime>
#include <functional>
#include <map>
#include <unordered_set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/status_macros.h"
#include "base/tls/openssl_internal.h"

namespace wattle::tls {
namespace {

using StoreContext = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

// What was parsed, by its text. A fleet has one or two issuers and sets of roots at a time.
template <typename T>
class Kept {
 public:
  std::shared_ptr<T> Find(absl::string_view pem) {
    const absl::MutexLock lock(&mutex_);
    const auto found = by_pem_.find(pem);
    return found == by_pem_.end() ? nullptr : found->second;
  }
  void Keep(absl::string_view pem, std::shared_ptr<T> parsed) {
    const absl::MutexLock lock(&mutex_);
    if (by_pem_.size() >= kMost && !by_pem_.contains(pem)) {
      by_pem_.clear();
    }
    by_pem_.try_emplace(std::string(pem), std::move(parsed));
  }

 private:
  static constexpr size_t kMost = 16;

  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<T>, std::less<>> by_pem_ ABSL_GUARDED_BY(mutex_);
};

Kept<STACK_OF(X509)>& KeptIssuers() {
  static auto& kept = *new Kept<STACK_OF(X509)>();
  return kept;
}

std::shared_ptr<X509_STORE> StoreOf(absl::string_view roots_pem) {
  static auto& kept = *new Kept<X509_STORE>();
  std::shared_ptr<X509_STORE> store = kept.Find(roots_pem);
  if (store == nullptr) {
    store = {X509_STORE_new(), X509_STORE_free};
    const Chain roots = ReadChain(roots_pem);
    for (int i = 0; i < sk_X509_num(roots.get()); ++i) {
      X509_STORE_add_cert(store.get(), sk_X509_value(roots.get(), i));
    }
    kept.Keep(roots_pem, store);
  }
  return store;
}

// Boards come back with the certificate that they had. No clock is asked, so that a chain which led
// to these roots once always does.
class VerifiedChains {
 public:
  bool Has(const std::string& sha256) {
    const absl::MutexLock lock(&mutex_);
    return sha256s_.contains(sha256);
  }
  void Add(std::string sha256) {
    const absl::MutexLock lock(&mutex_);
    if (sha256s_.size() >= kMost) {
      sha256s_.clear();
    }
    sha256s_.insert(std::move(sha256));
  }

 private:
  static constexpr size_t kMost = 20'000;

  absl::Mutex mutex_;
  std::unordered_set<std::string> sha256s_ ABSL_GUARDED_BY(mutex_);
};

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm civil = {};
  if (ASN1_TIME_to_tm(time, &civil) != 1) {
    return absl::InfinitePast();
  }
  return absl::FromTM(civil, absl::UTCTimeZone());
}

std::string BytesOf(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

void AddName(const GENERAL_NAME& name, CertificateFacts* facts) {
  if (name.type == GEN_URI) {
    facts->uris.push_back(BytesOf(name.d.uniformResourceIdentifier));
  } else if (name.type == GEN_DNS) {
    facts->dns_names.push_back(BytesOf(name.d.dNSName));
  } else if (name.type == GEN_IPADD) {
    const std::string bytes = BytesOf(name.d.iPAddress);
    std::array<char, INET6_ADDRSTRLEN> text = {};
    const bool is_address = bytes.size() == sizeof(in_addr) || bytes.size() == sizeof(in6_addr);
    if (is_address && inet_ntop(bytes.size() == sizeof(in_addr) ? AF_INET : AF_INET6, bytes.data(),
                                text.data(), text.size()) != nullptr) {
      facts->addresses.emplace_back(text.data());
    }
  }
}

absl::Status ExpiredAt(const X509* certificate, absl::Time at) {
  const absl::Time not_after = TimeOf(X509_get0_notAfter(certificate));
  return not_after < at
             ? absl::UnauthenticatedError(absl::StrCat(
                   "its certificate expired at ", absl::FormatTime(not_after, absl::UTCTimeZone()),
                   ", and it is ", absl::FormatTime(at, absl::UTCTimeZone()), " here"))
             : absl::OkStatus();
}

}  // namespace

CertificateChain::CertificateChain(absl::string_view pem) {
  const Bio bio = Reader(pem);
  leaf_ = {PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr), X509_free};
  ERR_clear_error();
  if (leaf_ == nullptr) {
    return;
  }
  issuers_pem_ = std::string(pem.substr(pem.size() - static_cast<size_t>(BIO_pending(bio.get()))));
  issuers_ = KeptIssuers().Find(issuers_pem_);
  if (issuers_ == nullptr) {
    issuers_ = ReadChain(issuers_pem_);
  }
}

absl::Status CertificateChain::Verify(absl::string_view roots_pem, Use use) const {
  if (leaf_ == nullptr) {
    return absl::UnauthenticatedError("no certificate was shown");
  }
  const std::shared_ptr<X509_STORE> roots = StoreOf(roots_pem);
  const StoreContext context(X509_STORE_CTX_new());
  if (context == nullptr ||
      X509_STORE_CTX_init(context.get(), roots.get(), leaf_.get(), issuers_.get()) != 1) {
    return Failed("chain of certificates");
  }
  X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_NO_CHECK_TIME);
  X509_VERIFY_PARAM_set_purpose(
      rules, use == Use::kServer ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
  const bool verified = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!verified) {
    return absl::UnauthenticatedError(
        absl::StrCat("its certificate is not of this fleet: ",
                     X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))));
  }
  KeptIssuers().Keep(issuers_pem_, issuers_);  // Whoever leads to no root pushes nothing out.
  return absl::OkStatus();
}

absl::Status CertificateChain::CheckExpiry(absl::Time at) const {
  absl::Status checked = leaf_ == nullptr ? absl::OkStatus() : ExpiredAt(leaf_.get(), at);
  for (int i = 0; checked.ok() && i < sk_X509_num(issuers_.get()); ++i) {
    checked = ExpiredAt(sk_X509_value(issuers_.get(), i), at);
  }
  return checked;
}

absl::StatusOr<CertificateFacts> CertificateChain::Facts() const {
  if (leaf_ == nullptr) {
    return absl::InvalidArgumentError("no certificate in PEM");
  }
  X509* const certificate = leaf_.get();
  CertificateFacts facts;
  const std::unique_ptr<BIGNUM, Freer<BN_free>> serial(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  char* const digits = BN_bn2hex(serial.get());
  facts.serial = digits == nullptr ? "" : digits;
  OPENSSL_free(digits);
  facts.not_before = TimeOf(X509_get0_notBefore(certificate));
  facts.not_after = TimeOf(X509_get0_notAfter(certificate));
  facts.public_key_sha256 = KeySha256(X509_get0_pubkey(certificate));
  if (const ASN1_OCTET_STRING* const id = X509_get0_authority_key_id(certificate); id != nullptr) {
    facts.issuer_key_id = BytesOf(id);
  }
  auto* const names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    AddName(*name, &facts);
  }
  GENERAL_NAMES_free(names);
  return facts;
}

absl::Status VerifyChain(absl::string_view chain_pem, absl::string_view roots_pem, Use use) {
  static auto& verified = *new VerifiedChains();
  // With the size, so that what is a root in one question is no certificate of the next one's
  // chain.
  const std::string sha256 = Sha256(
      absl::StrCat(static_cast<int>(use), " ", roots_pem.size(), "\n", roots_pem, chain_pem));
  if (verified.Has(sha256)) {
    return absl::OkStatus();
  }
  WATTLE_RETURN_IF_ERROR(CertificateChain(chain_pem).Verify(roots_pem, use));
  verified.Add(sha256);
  return absl::OkStatus();
}

absl::Status CheckExpiry(absl::string_view chain_pem, absl::Time at) {
  return CertificateChain(chain_pem).CheckExpiry(at);
}

absl::StatusOr<CertificateFacts> ReadCertificate(absl::string_view pem) {
  return CertificateChain(pem).Facts();
}

}  // namespace wattle::tls
