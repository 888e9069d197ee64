// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-coordinator: composes journal, core, artifacts, gRPC and HTTP, then waits for a signal.
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "artifacts/blob_store.h"
#include "artifacts/signers/signers.h"
#include "base/clock.h"
#include "base/deadlock_detection.h"
#include "base/process_privacy.h"
#include "base/service_manager.h"
#include "base/standard_output.h"
#include "base/status_macros.h"
#include "base/tls/credentials.h"
#include "base/tls/private_file.h"
#include "coordinator/authority/authority.h"
#include "coordinator/authority/sealed_copy.h"
#include "coordinator/backup.h"
#include "coordinator/callers/callers.h"
#include "coordinator/core/lineage.h"
#include "coordinator/core/state.h"
#include "coordinator/http/http_server.h"
#include "coordinator/log/log.h"
#include "coordinator/new_authority.h"
#include "coordinator/options.h"
#include "coordinator/own_names.h"
#include "coordinator/remote_write/remote_writer.h"
#include "coordinator/revocations.h"
#include "coordinator/rpc/moved_to.h"
#include "coordinator/rpc/server.h"
#include "coordinator/runtime/api.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/server_options.h"
#include "wattle/v1/access.grpc.pb.h"

namespace {

using wattle::AfterOutput;
using wattle::CoordinatorOptions;
using wattle::WithContext;

constexpr absl::Duration kAdminTokenLife = absl::Minutes(10);
constexpr absl::Duration kAdminPatience = absl::Seconds(20);

// The signer's name of the coordinator itself.
constexpr char kOwnSigner[] = "coordinator";

constexpr char kExamples[] =
    "Examples:\n"
    "  wattle-coordinator --data-dir /var/lib/wattle\n"
    "  wattle-coordinator --data-dir ./data --listen 127.0.0.1:0 --http 127.0.0.1:0\n"
    "  wattle login \"$(wattle-coordinator access admin-token --data-dir ./data)\"\n"
    "  wattle-coordinator backup --data-dir /var/lib/wattle --to /backup/wattle-monday\n"
    "  wattle-coordinator restore --from /backup/wattle-monday --data-dir /var/lib/wattle\n";

// Only its user may read it, because keys, prompts and results are there.
absl::Status MakeDataDirectory(const std::string& path) {
  const absl::Status made = wattle::tls::MakePrivateDirectory(path);
  if (!made.ok()) {
    return absl::PermissionDeniedError(absl::StrCat("--data-dir ", path, ": ", made.message(),
                                                    "; choose a directory that this user may "
                                                    "write to"));
  }
  return absl::OkStatus();
}

// Renews the coordinator's own certificate while it runs.
class CertificateKeeper {
 public:
  explicit CertificateKeeper(wattle::authority::Authority& authority)
      : authority_(authority), thread_([this] { Run(); }) {}
  ~CertificateKeeper() {
    stop_.Notify();
    thread_.join();
  }
  CertificateKeeper(const CertificateKeeper&) = delete;
  CertificateKeeper& operator=(const CertificateKeeper&) = delete;

 private:
  void Run() {
    while (!stop_.WaitForNotificationWithTimeout(absl::Hours(1))) {
      if (const absl::Status renewed = authority_.RenewServerCertificate(); !renewed.ok()) {
        wattle::LogWarning(absl::StrCat("the coordinator's certificate: ", renewed.message()));
      }
    }
  }

  wattle::authority::Authority& authority_;
  absl::Notification stop_;
  std::thread thread_;
};

// Writes the chosen ports for scripts. A failure is only logged, because the coordinator works
// without this file.
void WriteEndpoints(const std::string& directory, const std::string& grpc,
                    const std::string& http) {
  const std::string path = absl::StrCat(directory, "/endpoints.json");
  std::ofstream(path + ".partial")
      << "{\"grpc\": \"" << grpc << "\", \"http\": \"" << http << "\"}\n";
  std::error_code error;
  std::filesystem::rename(path + ".partial", path, error);
  if (error) {
    wattle::LogWarning(absl::StrCat(path, ": ", error.message()));
  }
}

sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // Threads inherit the mask.
  return signals;
}

// Null where the options ask for none.
absl::StatusOr<std::unique_ptr<wattle::remote_write::RemoteWriter>> StartRemoteWriter(
    const CoordinatorOptions& options) {
  const wattle::remote_write::Credentials& credentials = options.remote_write_credentials;
  if (!options.remote_write.empty()) {
    return wattle::remote_write::RemoteWriter::Start(
        {.url = options.remote_write,
         .credentials = credentials,
         .old_samples_path = absl::StrCat(options.data_directory, "/old_samples.om")},
        wattle::Clock::Real());
  }
  if (!credentials.none() || !credentials.user.empty()) {
    return absl::InvalidArgumentError(
        "--remote-write-user, -password-file and -bearer-file: give --remote-write URL too");
  }
  return nullptr;
}

auto OpenStore(const CoordinatorOptions& options) {
  wattle::artifacts::BlobStoreOptions store_options;
  store_options.directory = absl::StrCat(options.data_directory, "/", wattle::kArtifactsFolder);
  store_options.quota_bytes = static_cast<int64_t>(options.artifact_quota_gib * (int64_t{1} << 30));
  store_options.free_space_reserve_bytes = options.disk_reserve_mib << 20;
  return wattle::artifacts::BlobStore::Open(store_options, wattle::Clock::Real());
}

// Who may sign models, and the key by which what the fleet makes of those is signed.
struct ModelTrust {
  wattle::artifacts::Signers signers;
  wattle::artifacts::SigningKey own;
};

// Null without --signers: every model may be used.
absl::StatusOr<std::unique_ptr<ModelTrust>> OpenModelTrust(const CoordinatorOptions& options) {
  if (options.signers.empty()) {
    return nullptr;
  }
  const std::string folder = absl::StrCat(options.data_directory, "/authority");
  WATTLE_RETURN_IF_ERROR(wattle::tls::MakePrivateDirectory(folder));
  auto trust = std::make_unique<ModelTrust>();
  auto signers = wattle::artifacts::Signers::Load(options.signers);
  WATTLE_RETURN_IF_ERROR(WithContext("--signers", signers.status()));
  trust->signers = *std::move(signers);
  WATTLE_ASSIGN_OR_RETURN(trust->own,
                          wattle::artifacts::LoadSigningKey(absl::StrCat(folder, "/signer_key.pem"),
                                                            absl::StrCat(folder, "/signer.pem")));
  WATTLE_RETURN_IF_ERROR(trust->signers.Add(kOwnSigner, trust->own.public_key_pem));
  return trust;
}

// trust: must outlive the runtime.
void UseModelTrust(const ModelTrust& trust, wattle::runtime::RuntimeOptions& options) {
  options.check_model = [&trust](const wattle::v1::ArtifactInfo& info) {
    return trust.signers.CheckOneOf(info.artifact_id(), info.signatures());
  };
  options.sign_output = [&trust](const std::string& artifact_id) {
    return wattle::artifacts::SignArtifact(trust.own.key_pem, kOwnSigner, artifact_id)
        .value_or(wattle::v1::ArtifactSignature());
  };
  options.check_signature = [&trust](const std::string& artifact_id,
                                     const wattle::v1::ArtifactSignature& signature) {
    return trust.signers.Check(artifact_id, signature);
  };
}

// The issuing key of the flag, or the one that the service manager hands over.
wattle::authority::OperatorIssuer IssuerOf(const CoordinatorOptions& options) {
  wattle::authority::OperatorIssuer issuer = options.issuer;
  const char* const folder = std::getenv("CREDENTIALS_DIRECTORY");  // NOLINT: nobody sets it
  if (folder == nullptr) {
    return issuer;
  }
  const std::string credential = absl::StrCat(folder, "/issuer_key.pem");
  std::error_code error;
  if (issuer.key_path.empty() && std::filesystem::exists(credential, error)) {
    issuer.key_path = credential;
  }
  issuer.key_is_credential = absl::StartsWith(issuer.key_path, absl::StrCat(folder, "/"));
  return issuer;
}

// Null with plaintext.
absl::StatusOr<std::unique_ptr<wattle::authority::Authority>> OpenAuthority(
    const CoordinatorOptions& options) {
  if (options.plaintext_loopback) {
    wattle::LogWarning(
        "--plaintext-loopback: every program of this machine may do everything; for debugging");
    return nullptr;
  }
  return wattle::authority::Authority::Open(absl::StrCat(options.data_directory, "/authority"),
                                            wattle::OwnNames(options), wattle::Clock::Real(),
                                            options.issuer);
}

// Those that a restored journal has forgotten hold again when it returns.
absl::StatusOr<std::unique_ptr<wattle::Revocations>> HoldRevocations(
    const CoordinatorOptions& options, wattle::runtime::Runtime& runtime) {
  WATTLE_ASSIGN_OR_RETURN(auto revocations,
                          wattle::Revocations::Open(
                              absl::StrCat(options.data_directory, "/", wattle::kRevocationsFile)));
  WATTLE_ASSIGN_OR_RETURN(const int again, revocations->Agree(runtime));
  if (again > 0) {
    wattle::LogWarning(absl::StrCat(
        again,
        " of revocations, waiting boards and tokens hold again: the journal had forgotten, and ",
        options.data_directory, "/", wattle::kRevocationsFile, " had not"));
  }
  return revocations;
}

// A stranger's address is refused before any worker gets it. The coordinator there may start later.
absl::Status CheckWhereItMoved(const CoordinatorOptions& options,
                               const wattle::authority::Authority* authority,
                               const wattle::runtime::Runtime& runtime) {
  if (options.moved_to.empty()) {
    return absl::OkStatus();
  }
  wattle::rpc::MovedTo to = {.address = options.moved_to};
  runtime.Read([&to](const wattle::core::State& state) {
    to.lineage_id = state.lineage_id;
    to.epoch = wattle::core::EpochOf(state);
  });
  absl::Status checked = wattle::rpc::CheckMovedTo(
      to, authority, absl::StrCat(options.data_directory, "/moved_to.partial"));
  if (!checked.ok() && !absl::IsInvalidArgument(checked)) {
    wattle::LogWarning(checked.message());
    return absl::OkStatus();
  }
  return checked;
}

absl::Status Run(const CoordinatorOptions& options, const wattle::ServiceManager& manager) {
  WATTLE_RETURN_IF_ERROR(wattle::Validate(options));
  WATTLE_RETURN_IF_ERROR(MakeDataDirectory(options.data_directory));
  const sigset_t signals = BlockStopSignals();

  WATTLE_ASSIGN_OR_RETURN(const auto authority, OpenAuthority(options));
  std::optional<CertificateKeeper> keeper;
  if (authority != nullptr) {
    keeper.emplace(*authority);
  }
  WATTLE_ASSIGN_OR_RETURN(const auto http, wattle::http::HttpServer::Start(
                                               wattle::HttpOptionsOf(options, authority.get())));
  wattle::rpc::StreamTable streams;
  wattle::runtime::RuntimeOptions runtime_options = wattle::RuntimeOptionsOf(options, manager);
  WATTLE_ASSIGN_OR_RETURN(const auto trust, OpenModelTrust(options));
  if (trust != nullptr) {
    UseModelTrust(*trust, runtime_options);
  }
  WATTLE_ASSIGN_OR_RETURN(const auto remote_writer, StartRemoteWriter(options));
  runtime_options.metric_sink = remote_writer.get();
  // Takes the journal's lock first: no other process may touch the artifacts of a running
  // coordinator.
  WATTLE_ASSIGN_OR_RETURN(const auto runtime,
                          wattle::runtime::Runtime::Start(runtime_options, &streams));
  WATTLE_ASSIGN_OR_RETURN(const auto revocations, HoldRevocations(options, *runtime));
  WATTLE_RETURN_IF_ERROR(CheckWhereItMoved(options, authority.get(), *runtime));
  WATTLE_ASSIGN_OR_RETURN(const auto store, OpenStore(options));
  wattle::runtime::Api api(*runtime);
  const auto limits =
      std::make_shared<wattle::callers::CallLimits>(wattle::callers::CallLimits::Most{
          .renew_after_expiry = absl::Hours(24 * options.renew_after_expiry_days)});
  WATTLE_ASSIGN_OR_RETURN(const auto grpc,
                          wattle::rpc::Server::Start(
                              wattle::RpcOptionsOf(options, authority.get(), limits,
                                                   [&revocations, &runtime](const std::string& kind,
                                                                            const std::string& id) {
                                                     return revocations->Keep(*runtime, kind, id);
                                                   }),
                              api, streams, *store));
  const wattle::callers::Callers callers(*runtime, authority == nullptr ? "" : authority->fleet(),
                                         limits);
  http->Serve(api, authority == nullptr ? nullptr : &callers);
  WriteEndpoints(options.data_directory, grpc->address(), http->address());
  const std::string ready =
      absl::StrCat("listening grpc=", grpc->address(), " http=", http->address());
  std::printf("%s\n", ready.c_str());
  std::fflush(stdout);
  manager.Ready(ready);

  int signal = 0;
  sigwait(&signals, &signal);
  manager.Stopping();
  wattle::LogInfo(absl::StrCat("stopping: ", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
  // Stops from the outside in, so that the runtime ends without callers.
  grpc->Stop();
  http->Stop();
  runtime->Stop();
  return absl::OkStatus();
}

struct AdminTokenOptions {
  std::string data_directory;
  std::string person;
  std::string address;
};

// Asks the running coordinator over a socket that only its user can open.
absl::Status PrintAdminToken(const AdminTokenOptions& options) {
  const std::string socket = std::filesystem::absolute(wattle::LocalSocket(options.data_directory))
                                 .lexically_normal()
                                 .string();
  const auto channel =
      grpc::CreateChannel(absl::StrCat("unix:", socket), grpc::experimental::LocalCredentials(UDS));
  const auto stub = wattle::v1::AccessService::NewStub(channel);
  wattle::v1::CreatePersonTokenRequest request;
  request.set_person(options.person);
  if (options.person.empty()) {
    const passwd* const user = getpwuid(getuid());  // NOLINT(concurrency-mt-unsafe): one thread
    request.set_person(user == nullptr ? absl::StrCat("uid-", getuid()) : user->pw_name);
  }
  request.set_role("admin");
  request.set_ttl_seconds(absl::ToDoubleSeconds(kAdminTokenLife));
  request.set_address(options.address);
  wattle::v1::CreateTokensResponse response;
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kAdminPatience));
  const grpc::Status status = stub->CreatePersonToken(&context, request, &response);
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    return absl::UnavailableError(
        absl::StrCat("no coordinator answers at ", socket,
                     "; start it on this data directory, and ask as its user"));
  }
  if (!status.ok()) {
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }
  std::printf("%s\n", response.tokens(0).token().c_str());
  return absl::OkStatus();
}

// The exit code, as in every program of Wattle: 2 for a wrong command line, 1 for a later failure.
int Report(const absl::Status& status) {
  if (status.ok()) {
    return 0;
  }
  std::fprintf(stderr, "wattle-coordinator: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

// The program's commands besides the coordinator itself, and their options.
struct Commands {
  CLI::App* backup = nullptr;
  std::string backup_from;
  std::string backup_to;
  bool backup_with_authority = false;
  std::string passphrase_file;  // For the backup or the restore.
  CLI::App* restore = nullptr;
  wattle::RestoreOptions restore_options;
  bool restore_report = false;
  CLI::App* admin_token = nullptr;
  AdminTokenOptions admin;
  CLI::App* new_ca = nullptr;
  std::string new_ca_of;
};

void AddBackup(CLI::App& app, Commands& commands) {
  commands.backup = app.add_subcommand(
      "backup", "Copy the journal and the artifacts, also while the coordinator runs");
  commands.backup
      ->add_option("--data-dir", commands.backup_from, "The coordinator's data directory")
      ->required();
  commands.backup->add_option("--to", commands.backup_to, "The new directory of the backup")
      ->required();
  CLI::Option* const with_authority = commands.backup->add_flag(
      "--with-authority", commands.backup_with_authority,
      "Copy the authority's folder too, its keys under the passphrase (PKCS#8, scrypt, AES-256)");
  CLI::Option* const passphrase = commands.backup->add_option(
      "--passphrase-file", commands.passphrase_file,
      "With --with-authority: a file for its user alone, whose first line is the passphrase");
  with_authority->needs(passphrase);
  passphrase->needs(with_authority);
}

void AddRestore(CLI::App& app, Commands& commands) {
  wattle::RestoreOptions& options = commands.restore_options;
  commands.restore = app.add_subcommand(
      "restore", "Make a data directory from a backup; its journal goes on under the next epoch");
  commands.restore
      ->add_option("--data-dir", options.data_directory,
                   "The data directory of the coordinator to start")
      ->required();
  commands.restore->add_option(
      "--from", options.backup,
      "The backup; without it the directory's own journal goes on under a later epoch");
  commands.restore->add_flag("--replace", options.replace,
                             "Set an existing journal aside; its artifacts stay");
  commands.restore
      ->add_option("--epoch", options.epoch_min,
                   "The lowest epoch to open, as the error of a refused worker says")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 22));
  commands.restore->add_option("--passphrase-file", commands.passphrase_file,
                               "Restore the backup's authority too, by its passphrase");
  commands.restore->add_flag("--report", commands.restore_report,
                             "List the work from after the backup that workers still had");
}

void AddAccess(CLI::App& app, Commands& commands) {
  CLI::App* access = app.add_subcommand("access", "Who may do what, from this machine");
  access->require_subcommand(1);
  commands.admin_token = access->add_subcommand(
      "admin-token",
      "Print a token by which an admin logs in: the first person, or one who lost the key. Wants "
      "the coordinator's own user, and the coordinator running");
  commands.admin_token
      ->add_option("--data-dir", commands.admin.data_directory,
                   "The running coordinator's data directory")
      ->required();
  commands.admin_token->add_option("--person", commands.admin.person,
                                   "Who logs in; default: this user's name");
  commands.admin_token->add_option(
      "--address", commands.admin.address,
      "HOST:PORT that the token names; default: where the coordinator listens");
  commands.new_ca = access->add_subcommand(
      "new-ca",
      "Make another authority, when the old one is lost or in foreign hands: everybody enrols and "
      "logs in again. Wants the coordinator stopped");
  commands.new_ca
      ->add_option("--data-dir", commands.new_ca_of, "The stopped coordinator's data directory")
      ->required();
}

// The passphrase in the file that the flag names; empty without the flag.
absl::StatusOr<std::string> PassphraseOf(const Commands& commands) {
  return commands.passphrase_file.empty()
             ? absl::StatusOr<std::string>("")
             : wattle::authority::ReadPassphrase(commands.passphrase_file);
}

absl::Status RunBackup(const Commands& commands) {
  WATTLE_ASSIGN_OR_RETURN(const std::string passphrase, PassphraseOf(commands));
  WATTLE_RETURN_IF_ERROR(wattle::Backup(commands.backup_from, commands.backup_to, passphrase));
  std::printf("backup of %s is in %s\n", commands.backup_from.c_str(), commands.backup_to.c_str());
  return absl::OkStatus();
}

absl::Status RunNewAuthority(const Commands& commands) {
  WATTLE_ASSIGN_OR_RETURN(const std::string told,
                          wattle::NewAuthority(commands.new_ca_of, wattle::Clock::Real()));
  std::printf("%s", told.c_str());
  return absl::OkStatus();
}

absl::Status RunRestore(const Commands& commands) {
  wattle::RestoreOptions options = commands.restore_options;
  WATTLE_ASSIGN_OR_RETURN(options.passphrase, PassphraseOf(commands));
  WATTLE_ASSIGN_OR_RETURN(const std::string told,
                          commands.restore_report ? wattle::RestoreReport(options.data_directory)
                                                  : wattle::Restore(options));
  std::printf("%s", told.c_str());
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Wattle's coordinator: places jobs on a fleet of devices and keeps their journal.",
               "wattle-coordinator");
  app.footer(kExamples);
  app.set_version_flag("--version", std::string("wattle-coordinator ") + WATTLE_VERSION);
  CoordinatorOptions options;
  wattle::AddRunFlags(app, options);
  Commands commands;
  AddBackup(app, commands);
  AddRestore(app, commands);
  AddAccess(app, commands);
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    std::ostringstream help;
    app.exit(asked, help, std::cerr);
    return wattle::PrintHelp("wattle-coordinator", help.str());
  } catch (const CLI::ParseError& error) {
    return Report(
        absl::InvalidArgumentError(absl::StrCat(error.what(), "; see wattle-coordinator --help")));
  }

  // Only its user may read what this program writes.
  umask(S_IRWXG | S_IRWXO);
  wattle::LeaveNoCoreFile();
  wattle::LeaveDeadlockDetectionToTests();
  wattle::tls::UseTls13Alone();
  // gRPC's errors come back as a status; gRPC's own log would repeat them.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  const auto manager = wattle::ServiceManager::FromEnvironment();
  wattle::StartLog();
  if (commands.backup->parsed()) {
    return AfterOutput("wattle-coordinator", Report(WithContext("backup", RunBackup(commands))));
  }
  if (commands.restore->parsed()) {
    return AfterOutput("wattle-coordinator", Report(WithContext("restore", RunRestore(commands))));
  }
  if (commands.admin_token->parsed()) {
    return AfterOutput("wattle-coordinator",
                       Report(WithContext("access admin-token", PrintAdminToken(commands.admin))));
  }
  if (commands.new_ca->parsed()) {
    return AfterOutput("wattle-coordinator",
                       Report(WithContext("access new-ca", RunNewAuthority(commands))));
  }
  if (options.data_directory.empty()) {
    return Report(absl::InvalidArgumentError(
        "--data-dir is missing; for example: wattle-coordinator --data-dir ./data"));
  }
  options.issuer = IssuerOf(options);
  return Report(Run(options, manager));
}
