// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/authority/authority.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/private_file.h"

namespace wattle::authority {
namespace {

constexpr absl::Duration kYear = absl::Hours(24 * 365);
// A certificate is valid from a little before it was made, because clocks of a fleet differ.
constexpr absl::Duration kBackdated = absl::Hours(1);

// Compares by inclusion, so that a mistaken second start with fewer names changes nothing.
bool HasAll(const std::vector<std::string>& names, const std::vector<std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&names](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  });
}

std::string In(const std::string& folder, absl::string_view name) {
  return absl::StrCat(folder, "/", name);
}

bool IsThere(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

absl::Status RemoveDurably(const std::string& path, const std::string& folder) {
  std::error_code error;
  const std::uintmax_t removed = std::filesystem::remove_all(path, error);
  if (error) {
    return FileError(error.value(), path, "cannot be removed");
  }
  return removed == 0 ? absl::OkStatus() : SyncDirectory(folder);
}

constexpr tls::PrivateContent kOwnKey = {
    .what = "key", .remedy = "make another authority by 'wattle-coordinator access new-ca'"};

// Reads the key at the path; makes it if missing.
absl::StatusOr<std::string> LoadKey(const std::string& path) {
  absl::StatusOr<std::string> key = tls::ReadPrivateFile(path, kOwnKey);
  if (key.ok() || !absl::IsNotFound(key.status())) {
    return key;
  }
  WATTLE_ASSIGN_OR_RETURN(key, tls::NewKey());
  WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(path, *key));
  return key;
}

// A start does not read the root's key, which may be elsewhere, so this check finds that others may
// read it.
absl::Status CheckRootKey(const std::string& folder) {
  const absl::Status read = tls::ReadPrivateFile(In(folder, "root_key.pem"), kOwnKey).status();
  return absl::IsNotFound(read) ? absl::OkStatus() : read;
}

// Reads the certificate at the path; signs it if missing. Refuses a certificate of another key.
absl::StatusOr<std::string> LoadCertificate(const std::string& path,
                                            const tls::CertificateContent& content,
                                            absl::string_view issuer_pem,
                                            absl::string_view issuer_key_pem) {
  absl::StatusOr<std::string> certificate = ReadWholeFile(path);
  if (absl::IsNotFound(certificate.status())) {
    WATTLE_ASSIGN_OR_RETURN(certificate, tls::SignCertificate(content, issuer_pem, issuer_key_pem));
    WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(path, *certificate));
    return certificate;
  }
  WATTLE_RETURN_IF_ERROR(certificate.status());
  const absl::StatusOr<tls::CertificateFacts> facts = tls::ReadCertificate(*certificate);
  WATTLE_RETURN_IF_ERROR(WithContext(path, facts.status()));
  WATTLE_ASSIGN_OR_RETURN(const std::string digest, tls::PublicKeySha256(content.public_key_pem));
  if (facts->public_key_sha256 != digest) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": is not the certificate of the key beside it; restore both from one backup"));
  }
  return certificate;
}

// Each generation has its own name, so that a program finds the right one of two by name.
std::string NameOf(absl::string_view what, int number) {
  return absl::StrCat("Wattle fleet ", what, number == 1 ? "" : absl::StrCat(" ", number));
}

tls::CertificateContent RootContent(int number, absl::Time now) {
  return {.use = tls::Use::kRoot,
          .public_key_pem = "",
          .common_name = NameOf("root", number),
          .not_before = now - kBackdated,
          .not_after = now + 30 * kYear};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Authority>> Authority::Open(const std::string& directory,
                                                           const ServerNames& names,
                                                           const Clock& clock,
                                                           const OperatorIssuer& issuer) {
  std::unique_ptr<Authority> authority(new Authority(directory, names, clock, issuer));
  WATTLE_RETURN_IF_ERROR(WithContext("the fleet's authority", authority->Load()));
  return authority;
}

std::string Authority::FolderOf(int number) const {
  return number == 1 ? directory_ : In(directory_, absl::StrCat(number));
}

absl::Status Authority::Load() {
  WATTLE_RETURN_IF_ERROR(tls::MakePrivateDirectory(directory_));
  absl::MutexLock lock(&mutex_);
  WATTLE_RETURN_IF_ERROR(LoadGenerations());
  WATTLE_RETURN_IF_ERROR(LoadFleet());
  WATTLE_ASSIGN_OR_RETURN(server_key_pem_, LoadKey(In(directory_, "server_key.pem")));
  return RenewServer();
}

absl::Status Authority::LoadGenerations() {
  if (!issuer_.chain_path.empty()) {
    WATTLE_ASSIGN_OR_RETURN(Generation generation, LoadOperatorsGeneration());
    generations_.push_back(std::move(generation));
    return absl::OkStatus();
  }
  std::vector<int> numbers = {1};
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename().string();
    int number = 0;
    if (absl::EndsWith(name, ".partial") && entry.is_directory(error)) {
      WATTLE_RETURN_IF_ERROR(RemoveDurably(entry.path().string(), directory_));
    } else if (absl::SimpleAtoi(name, &number) && number > 1) {
      numbers.push_back(number);
    }
  }
  if (error) {
    return FileError(error.value(), directory_, "cannot be read");
  }
  std::sort(numbers.rbegin(), numbers.rend());
  for (const int number : numbers) {
    if (number != numbers.front() && !IsThere(In(FolderOf(number), "root.pem"))) {
      WATTLE_RETURN_IF_ERROR(RemoveGeneration(number));  // Its retirement was interrupted.
      continue;
    }
    WATTLE_ASSIGN_OR_RETURN(Generation generation, LoadGeneration(number, FolderOf(number)));
    WATTLE_RETURN_IF_ERROR(CheckRootKey(generation.folder));
    generations_.push_back(std::move(generation));
  }
  return absl::OkStatus();
}

absl::StatusOr<Authority::Generation> Authority::LoadOperatorsGeneration() const {
  Generation made = {.number = 1, .folder = directory_};
  WATTLE_ASSIGN_OR_RETURN(made.issuer_key_pem, ReadIssuerKey(issuer_));
  WATTLE_ASSIGN_OR_RETURN(IssuerChain chain,
                          ReadIssuerChain(issuer_, made.issuer_key_pem, clock_.Now()));
  const absl::StatusOr<std::string> known = ReadWholeFile(In(directory_, "root.pem"));
  if (IsThere(FolderOf(2)) || (known.ok() && *known != chain.root_pem)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--issuer-cert ", issuer_.chain_path, ": ", directory_,
        " has another root, which enrolled boards trust; leave the flag out, or move the folder "
        "aside, and let everybody enrol again"));
  }
  WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(In(directory_, "root.pem"), chain.root_pem));
  WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(In(directory_, "issuer.pem"), chain.issuer_pem));
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts facts, tls::ReadCertificate(chain.root_pem));
  made.pin = tls::ToHex(facts.public_key_sha256);
  made.root_pem = std::move(chain.root_pem);
  made.issuer_pem = std::move(chain.issuer_pem);
  return made;
}

absl::StatusOr<std::string> Authority::LoadIssuerKey(const std::string& folder) const {
  const std::string path = In(folder, "issuer_key.pem");
  const absl::StatusOr<std::string> certificate = ReadWholeFile(In(folder, "issuer.pem"));
  if (IsThere(path) || !certificate.ok()) {
    return LoadKey(path);
  }
  if (issuer_.key_path.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path,
                     ": is missing, and its certificate is there; give --issuer-key FILE, and "
                     "--issuer-cert FILE if your own CA signed it, or restore the folder"));
  }
  WATTLE_ASSIGN_OR_RETURN(std::string key, ReadIssuerKey(issuer_));
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts facts, tls::ReadCertificate(*certificate));
  WATTLE_ASSIGN_OR_RETURN(const std::string public_key, tls::PublicKeyOf(key));
  WATTLE_ASSIGN_OR_RETURN(const std::string digest, tls::PublicKeySha256(public_key));
  if (facts.public_key_sha256 != digest) {
    return absl::InvalidArgumentError(absl::StrCat("--issuer-key ", issuer_.key_path,
                                                   ": is not the key of ", folder,
                                                   "/issuer.pem; give the two of one issuer"));
  }
  return key;
}

absl::Status Authority::LoadFleet() {
  const std::string path = In(directory_, "fleet");
  const absl::StatusOr<std::string> kept = ReadWholeFile(path);
  if (kept.ok()) {
    fleet_ = std::string(absl::StripAsciiWhitespace(*kept));
    return absl::OkStatus();
  }
  if (!absl::IsNotFound(kept.status())) {
    return kept.status();
  }
  fleet_ = tls::FleetOf(generations_.back().pin);
  return tls::WritePrivateFile(path, absl::StrCat(fleet_, "\n"));
}

absl::StatusOr<Authority::Generation> Authority::LoadGeneration(int number,
                                                                const std::string& folder) const {
  Generation made = {.number = number, .folder = folder};
  const absl::Time now = clock_.Now();
  WATTLE_ASSIGN_OR_RETURN(made.issuer_key_pem, LoadIssuerKey(folder));
  // With both certificates the root's key may be offline.
  const bool rooted =
      ReadWholeFile(In(folder, "root.pem")).ok() && ReadWholeFile(In(folder, "issuer.pem")).ok();
  std::string root_key_pem;
  if (rooted) {
    WATTLE_ASSIGN_OR_RETURN(made.root_pem, ReadWholeFile(In(folder, "root.pem")));
  } else {
    tls::CertificateContent root = RootContent(number, now);
    WATTLE_ASSIGN_OR_RETURN(root_key_pem, LoadKey(In(folder, "root_key.pem")));
    WATTLE_ASSIGN_OR_RETURN(root.public_key_pem, tls::PublicKeyOf(root_key_pem));
    WATTLE_ASSIGN_OR_RETURN(made.root_pem,
                            LoadCertificate(In(folder, "root.pem"), root, "", root_key_pem));
  }
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts facts, tls::ReadCertificate(made.root_pem));
  made.pin = tls::ToHex(facts.public_key_sha256);
  tls::CertificateContent issuer = {.use = tls::Use::kIssuer,
                                    .public_key_pem = "",
                                    .common_name = NameOf("issuer", number),
                                    .not_before = now - kBackdated,
                                    .not_after = now + 10 * kYear};
  WATTLE_ASSIGN_OR_RETURN(issuer.public_key_pem, tls::PublicKeyOf(made.issuer_key_pem));
  WATTLE_ASSIGN_OR_RETURN(made.issuer_pem, LoadCertificate(In(folder, "issuer.pem"), issuer,
                                                           made.root_pem, root_key_pem));
  if (number > 1) {
    WATTLE_ASSIGN_OR_RETURN(made.cross_pem, ReadWholeFile(In(folder, "cross.pem")));
  }
  return made;
}

absl::StatusOr<std::string> Authority::PrepareRotation() {
  absl::MutexLock lock(&mutex_);
  const Generation& present = generations_.front();
  if (generations_.size() > 1) {
    return absl::FailedPreconditionError(
        "an old root is still trusted; 'wattle access status' names who is left under it, and "
        "'wattle access retire-ca' ends it");
  }
  if (!issuer_.chain_path.empty()) {
    return absl::FailedPreconditionError(
        "the root is of the CA that signed --issuer-cert, and its key is there; have that CA sign "
        "a "
        "new issuer, and start the coordinator with it");
  }
  const absl::StatusOr<std::string> old_key =
      tls::ReadPrivateFile(In(present.folder, "root_key.pem"), kOwnKey);
  if (absl::IsNotFound(old_key.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(present.folder,
                     "/root_key.pem: the root's key is offline, and it signs the new root; put "
                     "it back for the rotation"));
  }
  WATTLE_RETURN_IF_ERROR(old_key.status());
  const std::string partial = absl::StrCat(FolderOf(present.number + 1), ".partial");
  WATTLE_RETURN_IF_ERROR(RemoveDurably(partial, directory_));
  WATTLE_RETURN_IF_ERROR(tls::MakePrivateDirectory(partial));
  const absl::Time now = clock_.Now();
  tls::CertificateContent cross = RootContent(present.number + 1, now);
  WATTLE_ASSIGN_OR_RETURN(const std::string key, LoadKey(In(partial, "root_key.pem")));
  WATTLE_ASSIGN_OR_RETURN(cross.public_key_pem, tls::PublicKeyOf(key));
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts old, tls::ReadCertificate(present.root_pem));
  cross.not_after = std::min(cross.not_after, old.not_after);
  WATTLE_RETURN_IF_ERROR(
      LoadCertificate(In(partial, "cross.pem"), cross, present.root_pem, *old_key).status());
  WATTLE_ASSIGN_OR_RETURN(const Generation made, LoadGeneration(present.number + 1, partial));
  CrashPoint("rotate:prepared");
  return absl::HexStringToBytes(made.pin);
}

absl::Status Authority::Rotate() {
  absl::MutexLock lock(&mutex_);
  const int number = generations_.front().number + 1;
  const std::string partial = absl::StrCat(FolderOf(number), ".partial");
  CrashPoint("rotate:noted");
  WATTLE_RETURN_IF_ERROR(RenameFile(partial, FolderOf(number)));
  WATTLE_RETURN_IF_ERROR(SyncDirectory(directory_));
  CrashPoint("rotate:renamed");
  WATTLE_ASSIGN_OR_RETURN(Generation made, LoadGeneration(number, FolderOf(number)));
  generations_.insert(generations_.begin(), std::move(made));
  return RenewServer();
}

absl::Status Authority::Retire(const std::string& sha256) {
  absl::MutexLock lock(&mutex_);
  const auto found =
      std::find_if(generations_.begin(), generations_.end(),
                   [&sha256](const Generation& one) { return one.pin == tls::ToHex(sha256); });
  if (found == generations_.end()) {
    return absl::NotFoundError(absl::StrCat("no root ", tls::ToHex(sha256), " is trusted"));
  }
  if (found == generations_.begin()) {
    return absl::FailedPreconditionError(
        "this root signs; 'wattle access rotate-ca' makes another first");
  }
  CrashPoint("retire:noted");
  const int number = found->number;
  WATTLE_RETURN_IF_ERROR(RemoveGeneration(number));
  generations_.erase(found);
  return RenewServer();
}

// root.pem goes first: without it the other files are no longer read.
absl::Status Authority::RemoveGeneration(int number) const {
  const std::string folder = FolderOf(number);
  for (const char* name :
       {"root.pem", "root_key.pem", "issuer_key.pem", "issuer.pem", "cross.pem"}) {
    const std::string path = In(folder, name);
    if (!IsThere(path)) {
      continue;
    }
    WATTLE_RETURN_IF_ERROR(RemoveDurably(path, folder));
    CrashPoint("retire:removed");
  }
  return number == 1 ? absl::OkStatus() : RemoveDurably(folder, directory_);
}

std::string Authority::pin() const {
  absl::MutexLock lock(&mutex_);
  return generations_.front().pin;
}

std::string Authority::roots_pem() const {
  absl::MutexLock lock(&mutex_);
  std::string all;
  for (const Generation& one : generations_) {
    all += one.root_pem;
  }
  return all;
}

std::vector<Authority::Root> Authority::Roots() const {
  absl::MutexLock lock(&mutex_);
  std::vector<Root> roots;
  for (const Generation& one : generations_) {
    const absl::StatusOr<tls::CertificateFacts> facts = tls::ReadCertificate(one.root_pem);
    roots.push_back({.sha256 = absl::HexStringToBytes(one.pin),
                     .not_after = facts.ok() ? facts->not_after : absl::InfinitePast(),
                     .signs = roots.empty()});
  }
  return roots;
}

std::string Authority::RootOf(const std::string& chain_pem) const {
  absl::MutexLock lock(&mutex_);
  // The newest first: through cross.pem its certificates also lead to the old root.
  for (const Generation& one : generations_) {
    if (tls::VerifyChain(chain_pem, one.root_pem, tls::Use::kClient).ok()) {
      return absl::HexStringToBytes(one.pin);
    }
  }
  return "";
}

tls::CertificateFiles Authority::server_files() const {
  return {In(directory_, "server_key.pem"), In(directory_, "server.pem")};
}

std::string Authority::UriOf(absl::string_view kind, absl::string_view id) const {
  return absl::StrCat("spiffe://", fleet(), "/", kind, "/", id);
}

std::string Authority::ClientTail() const {
  const Generation& present = generations_.front();
  return absl::StrCat(present.issuer_pem, generations_.size() > 1 ? present.cross_pem : "");
}

// cross.pem comes before its root, because a program takes the first of two that match. The roots
// are included because a token pins one; the old issuer for browsers, which send only their own
// certificate.
std::string Authority::ServerTail() const {
  std::string tail = ClientTail();
  for (const Generation& one : generations_) {
    tail += one.root_pem;
  }
  return generations_.size() > 1 ? tail + generations_.back().issuer_pem : tail;
}

absl::StatusOr<std::string> Authority::SignClient(const tls::SigningRequest& request,
                                                  absl::string_view kind, absl::string_view id,
                                                  absl::Time until) const {
  const absl::Time now = clock_.Now();
  tls::CertificateContent content = {.use = tls::Use::kClient,
                                     .public_key_pem = request.public_key_pem,
                                     .common_name = std::string(id),
                                     .uri = UriOf(kind, id),
                                     .not_before = now - kBackdated,
                                     .not_after = std::max(now + kClientLife, until)};
  if (kind == "device") {
    content.use = tls::Use::kDevice;
    content.dns_names = {kWorkerDnsName};
  }
  Generation present;
  std::string tail;
  {
    absl::MutexLock lock(&mutex_);
    present = generations_.front();
    tail = ClientTail();
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string leaf, tls::SignCertificate(content, present.issuer_pem,
                                                                       present.issuer_key_pem));
  return absl::StrCat(leaf, tail);
}

absl::Status Authority::RenewServerCertificate() {
  absl::MutexLock lock(&mutex_);
  return RenewServer();
}

std::string Authority::RenewalProblem() const {
  absl::MutexLock lock(&mutex_);
  if (renewed_.ok()) {
    return "";
  }
  const auto kept = ReadWholeFile(In(directory_, "server.pem"));
  const auto facts = tls::ReadCertificate(kept.value_or(""));
  return absl::StrCat(
      "the coordinator's certificate is not renewed: ", renewed_.message(),
      "; trying again every hour; it ",
      facts.ok() ? absl::FormatTime("ends on %Y-%m-%d", facts->not_after, absl::UTCTimeZone())
                 : "cannot be read");
}

absl::Status Authority::RenewServer() {
  renewed_ = RenewServerIfDue();
  return renewed_;
}

absl::Status Authority::RenewServerIfDue() {
  const std::string path = In(directory_, "server.pem");
  const Generation& present = generations_.front();
  const absl::Time now = clock_.Now();
  tls::CertificateContent content = {.use = tls::Use::kServer,
                                     .public_key_pem = "",
                                     .common_name = "Wattle coordinator",
                                     .uri = absl::StrCat("spiffe://", fleet(), "/coordinator"),
                                     .dns_names = names_.dns_names,
                                     .addresses = names_.addresses,
                                     .not_before = now - kBackdated,
                                     .not_after = now + kServerLife};
  WATTLE_ASSIGN_OR_RETURN(content.public_key_pem, tls::PublicKeyOf(server_key_pem_));
  WATTLE_ASSIGN_OR_RETURN(const std::string digest, tls::PublicKeySha256(content.public_key_pem));
  const std::string tail = ServerTail();
  if (const absl::StatusOr<std::string> kept = ReadWholeFile(path); kept.ok()) {
    const absl::StatusOr<tls::CertificateFacts> facts = tls::ReadCertificate(*kept);
    if (facts.ok() && facts->public_key_sha256 == digest && absl::EndsWith(*kept, tail) &&
        facts->not_after - now > kServerLife / 2 && HasAll(facts->dns_names, names_.dns_names) &&
        HasAll(facts->addresses, names_.addresses) &&
        tls::VerifyChain(*kept, present.root_pem, tls::Use::kServer).ok()) {
      return absl::OkStatus();
    }
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string leaf, tls::SignCertificate(content, present.issuer_pem,
                                                                       present.issuer_key_pem));
  return tls::WritePrivateFile(path, absl::StrCat(leaf, tail));
}

}  // namespace wattle::authority
