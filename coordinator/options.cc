// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/options.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "base/host_port.h"
#include "base/number_flag.h"
#include "base/status_macros.h"
#include "coordinator/http/host_names.h"

namespace wattle {
namespace {

// The data directory, and who reaches the coordinator where.
void AddAddressFlags(CLI::App& app, CoordinatorOptions& options) {
  app.add_option("--data-dir", options.data_directory,
                 "Directory of the journal and the artifacts; created if missing (required)");
  app.add_option("--listen", options.listen_address, "gRPC, HOST:PORT; port 0: any free one")
      ->capture_default_str();
  app.add_option(
         "--connections-per-address", options.connections_per_address,
         "Most connections to --listen at once of one address, or of one IPv6 network of 64 "
         "bits; raise it where as many boards are behind one NAT")
      ->capture_default_str()
      ->check(NumberBetween(1.0, 1e6));
  app.add_option("--transfers-per-site", options.transfers_per_site,
                 "Most boards with one value of the label site that fetch artifacts from this "
                 "coordinator at once; the others wait, or fetch from boards beside them")
      ->capture_default_str()
      ->check(NumberBetween(1.0, 1000.0));
  app.add_option("--renew-after-expiry", options.renew_after_expiry_days,
                 "For so many days after its end a certificate may renew itself, and do nothing "
                 "else: boards that were away for longer enrol again; 0: none renews itself")
      ->capture_default_str()
      ->check(NumberBetween(0.0, 36500.0));
  app.add_option("--http", options.http_address,
                 "HTTPS (metrics, health, discovery, API), HOST:PORT; port 0: any free one")
      ->capture_default_str();
  app.add_option("--http-name", options.http_names,
                 "A further name by which browsers and scrapers call --http; may be repeated. "
                 "Addresses, localhost and the machine's own names need none");
  app.add_option("--http-role", options.http_role,
                 "What callers of --http may do who show neither a certificate nor a token: none, "
                 "service reads lists and metrics, viewer reads everything, operator also submits, "
                 "cancels and drains")
      ->capture_default_str()
      ->check(CLI::IsMember({"none", "service", "viewer", "operator"}));
  app.add_flag("--plaintext-loopback", options.plaintext_loopback,
               "For a debugger: no TLS and no certificates on --listen and --http, which must be "
               "loopback; every program of this machine may then do everything");
  app.add_option("--issuer-key", options.issuer.key_path,
                 "File of the key that signs certificates, where it is not in DATA-DIR/authority; "
                 "default: issuer_key.pem of $CREDENTIALS_DIRECTORY, if it is there");
  app.add_option("--issuer-cert", options.issuer.chain_path,
                 "File of certificates, of a CA of your own: that of --issuer-key first, then what "
                 "leads to the root, and the root, whose key stays where it is");
  app.add_option("--signers", options.signers,
                 "Folder of public keys (PEM, P-256 or Ed25519; the file's name is the signer's): "
                 "jobs may only use models that one of them signed, and what the fleet makes of "
                 "those is signed by DATA-DIR/authority/signer_key.pem");
  app.add_option("--moved-to", options.moved_to,
                 "HOST:PORT of the restored copy that goes on for this coordinator: workers are "
                 "sent there and remember it, everybody else is told the address");
}

// When devices count as gone, what is kept for how long, and what becomes of impossible jobs.
void AddKeepingFlags(CLI::App& app, CoordinatorOptions& options) {
  app.add_option("--heartbeat-seconds", options.heartbeat_seconds,
                 "Interval of the workers' heartbeats")
      ->capture_default_str()
      ->check(NumberBetween(0.1, 3600.0));
  app.add_option("--unreachable-seconds", options.unreachable_seconds,
                 "Silence after which a device is shown as unreachable")
      ->capture_default_str()
      ->check(NumberBetween(0.2, 86400.0));
  app.add_option("--keep-ended-days", options.keep_ended_days,
                 "How long ended jobs stay in memory; later the journal answers for them")
      ->capture_default_str()
      ->check(NumberBetween(0.0, 36500.0));
  app.add_option("--keep-ended-jobs", options.keep_ended_jobs,
                 "Most ended jobs in memory; beyond this the oldest leave sooner")
      ->capture_default_str()
      ->check(NumberBetween(0.0, 1e6));
  app.add_option("--history-days", options.history_days,
                 "How long the journal answers for ended jobs and for energy; older records are "
                 "removed; 0: for ever")
      ->capture_default_str()
      ->check(NumberBetween(0.0, 36500.0));
  app.add_option(
         "--snapshot-every-events", options.snapshot_every_events,
         "Events between snapshots; a start reads the latest snapshot and the events after it")
      ->capture_default_str()
      ->check(NumberBetween(10.0, 1e7));
  app.add_option("--artifact-quota-gib", options.artifact_quota_gib,
                 "Beyond this size the longest unused artifacts are evicted; 0: no quota")
      ->capture_default_str()
      ->check(NumberBetween(0.0, 1e6));
  app.add_option("--disk-reserve-mib", options.disk_reserve_mib,
                 "Free disk space that uploads leave for the journal")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30));
  app.add_option("--impossible-jobs", options.impossible_jobs,
                 "Queued jobs that no device of the fleet can ever run: fail them after a grace "
                 "period, or hold them for a device that may join")
      ->capture_default_str()
      ->check(CLI::IsMember({"fail", "hold"}));
  app.add_option("--impossible-grace-seconds", options.impossible_grace_seconds,
                 "How long such a job stays queued before it fails")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e8));
}

void AddRemoteWriteFlags(CLI::App& app, CoordinatorOptions& options) {
  app.add_option(
      "--remote-write", options.remote_write,
      "Prometheus' remote-write URL, such as http://127.0.0.1:9090/api/v1/write, for the "
      "samples of workers that Prometheus cannot reach (--metrics pushed)");
  app.add_option("--remote-write-user", options.remote_write_credentials.user,
                 "User that the URL's server asks for");
  app.add_option("--remote-write-password-file", options.remote_write_credentials.password_file,
                 "File with the user's password on one line, which others cannot read");
  app.add_option("--remote-write-bearer-file", options.remote_write_credentials.bearer_file,
                 "File with a bearer token on one line, instead of user and password");
}

}  // namespace

void AddRunFlags(CLI::App& app, CoordinatorOptions& options) {
  AddAddressFlags(app, options);
  AddKeepingFlags(app, options);
  AddRemoteWriteFlags(app, options);
}

absl::Status Validate(const CoordinatorOptions& options) {
  for (const auto& [flag, text] : {std::pair("--listen", &options.listen_address),
                                   std::pair("--http", &options.http_address)}) {
    WATTLE_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(flag, *text));
    if (IsLoopback(address)) {
      continue;
    }
    if (options.plaintext_loopback) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " ", *text,
                       ": can be reached from other machines, and --plaintext-loopback has no TLS; "
                       "leave that flag out, or listen on 127.0.0.1"));
    }
    if (text == &options.http_address && options.http_role != "none" &&
        options.http_role != "service") {
      return absl::InvalidArgumentError(absl::StrCat(
          "--http ", *text, ": can be reached from other machines, and --http-role ",
          options.http_role, " is for whoever comes; leave that flag out, or listen on 127.0.0.1"));
    }
  }
  for (const std::string& name : options.http_names) {
    WATTLE_RETURN_IF_ERROR(http::CheckHostName("--http-name", name));
  }
  if (!options.issuer.chain_path.empty() && options.issuer.key_path.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--issuer-cert ", options.issuer.chain_path,
                     ": wants the key of its first certificate; give --issuer-key FILE too"));
  }
  if (!options.moved_to.empty()) {
    WATTLE_RETURN_IF_ERROR(ParseHostPort("--moved-to", options.moved_to).status());
    if (options.moved_to == options.listen_address) {
      return absl::InvalidArgumentError(
          absl::StrCat("--moved-to ", options.moved_to,
                       ": is this coordinator's own --listen; name the new one's address"));
    }
  }
  if (options.unreachable_seconds < 2 * options.heartbeat_seconds) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--unreachable-seconds ", options.unreachable_seconds, ": shorter than two heartbeats of ",
        options.heartbeat_seconds, " s, so that every device would be shown as unreachable; give ",
        2 * options.heartbeat_seconds, " or more, or lower --heartbeat-seconds"));
  }
  return absl::OkStatus();
}

}  // namespace wattle
