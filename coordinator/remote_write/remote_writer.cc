// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/remote_write/remote_writer.h"

#include <fcntl.h>
#include <snappy.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <httplib.h>

#include "base/backoff.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "coordinator/log/log.h"

namespace wattle::remote_write {
namespace {

// Batches of one request. A device has at most two batches in flight.
constexpr size_t kBatchesPerRequest = 16;
constexpr absl::Duration kWindowMargin = absl::Hours(1);
// How far a device's clock may be ahead. A single sample from the future would make all correct
// samples look too old.
constexpr absl::Duration kAheadMax = absl::Minutes(5);
constexpr int kTimeoutSeconds = 30;

int64_t SamplesIn(absl::Span<const Scrape> scrapes) {
  int64_t samples = 0;
  for (const Scrape& scrape : scrapes) {
    samples += scrape.request.timeseries_size();
  }
  return samples;
}

// Whether the receiver has read the request and will never accept it. Any other error may be
// temporary: the receiver is away, not enabled, overloaded, or requires a password.
bool IsRefusal(int status, const std::string& body) {
  return status == 400 || status == 413 || status == 422 ||
         absl::StrContains(absl::AsciiStrToLower(body), "too old sample");
}

// Appends the samples that Prometheus refuses because they are older than its window to one text
// file of OpenMetrics lines, durably. A person can load the file with `promtool tsdb
// create-blocks-from openmetrics`. Errors: kResourceExhausted when the file has reached its maximum
// size, with the file's name and the remedy.
absl::Status KeepOldSamples(const RemoteWriteOptions& options, const Scrape& scrape) {
  const std::string& path = options.old_samples_path;
  const std::string text = ToOpenMetrics(scrape);
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) {
    return FileError(errno, path, "cannot open");
  }
  const absl::Cleanup closes = [file] { close(file); };
  const off_t size = lseek(file, 0, SEEK_END);
  if (size + static_cast<off_t>(text.size()) > options.old_samples_bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": holds ", options.old_samples_bytes_max >> 20,
                     " MiB of samples that are too old for Prometheus; load the file with "
                     "promtool, then move it away"));
  }
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t bytes = write(file, text.data() + written, text.size() - written);
    if (bytes < 0 && errno != EINTR) {
      const int error = errno;
      (void)ftruncate(file, size);  // removes a half-written line
      return FileError(error, path, "cannot write");
    }
    written += bytes > 0 ? static_cast<size_t>(bytes) : 0;
  }
  return fdatasync(file) == 0 ? absl::OkStatus() : FileError(errno, path, "cannot sync");
}

}  // namespace

absl::StatusOr<std::unique_ptr<RemoteWriter>> RemoteWriter::Start(const RemoteWriteOptions& options,
                                                                  const Clock& clock) {
  WATTLE_RETURN_IF_ERROR(CheckCredentials(options.url, options.credentials));
  const size_t scheme = options.url.find("://");
  const size_t slash =
      scheme == std::string::npos ? std::string::npos : options.url.find('/', scheme + 3);
  const bool known =
      absl::StartsWith(options.url, "http://") || absl::StartsWith(options.url, "https://");
  if (!known || slash == std::string::npos || slash == scheme + 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("--remote-write ", options.url,
                     ": wanted a URL with a path, for example http://127.0.0.1:9090/api/v1/write"));
  }
  if (!options.credentials.none() && IsReadOnTheWay(options.url)) {
    LogWarning(
        "remote write: over http:// everybody on the way can read the secret; give an https:// "
        "URL");
  }
  std::unique_ptr<RemoteWriter> writer(
      new RemoteWriter(options, options.url.substr(0, slash), options.url.substr(slash), clock));
  writer->thread_ = std::thread([self = writer.get()] { self->Run(); });
  return writer;
}

RemoteWriter::RemoteWriter(const RemoteWriteOptions& options, std::string host, std::string path,
                           const Clock& clock)
    : options_(options),
      host_(std::move(host)),
      path_(std::move(path)),
      shown_url_(options.url.substr(0, options.url.find('?'))),
      clock_(clock) {}

RemoteWriter::~RemoteWriter() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void RemoteWriter::Take(const DeviceId& device, v1::MetricBatch batch, std::function<void()> done) {
  absl::MutexLock lock(&mutex_);
  auto& answer = answers_[{device, batch.number()}];
  if (answer == nullptr) {
    waiting_.push_back({device, std::move(batch)});
  }
  // A waiting batch was sent again on a new stream, to which the answer now goes.
  answer = std::move(done);
}

void RemoteWriter::Run() {
  while (true) {
    std::vector<Waiting> batches;
    {
      absl::MutexLock lock(&mutex_);
      auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !waiting_.empty();
      };
      mutex_.Await(absl::Condition(&ready));
      if (stopping_) {
        return;
      }
      while (!waiting_.empty() && batches.size() < kBatchesPerRequest) {
        batches.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
    }
    if (!SendAll(batches)) {
      return;
    }
    for (const Waiting& sent : batches) {
      std::function<void()> done;
      {
        absl::MutexLock lock(&mutex_);
        const auto answer = answers_.find({sent.device, sent.batch.number()});
        done = std::move(answer->second);
        answers_.erase(answer);
      }
      done();
    }
  }
}

bool RemoteWriter::SendAll(const std::vector<Waiting>& batches) {
  const absl::Time now = clock_.Now();
  std::vector<Scrape> scrapes;
  for (const Waiting& waiting : batches) {
    for (Scrape& scrape : ScrapesOf(waiting.device, waiting.batch)) {
      if (scrape.at < now - options_.window + kWindowMargin) {
        Refuse(scrape, "too_old", /*keep=*/true);
      } else if (scrape.at > now + kAheadMax) {
        Refuse(scrape, "ahead", /*keep=*/false);
      } else if (scrape.request.timeseries_size() > 0) {
        scrapes.push_back(std::move(scrape));
      }
    }
  }
  return scrapes.empty() || Send(scrapes);
}

bool RemoteWriter::Send(absl::Span<const Scrape> scrapes) {
  switch (PostUntilAnswered(scrapes)) {
    case Answer::kStopping:
      return false;
    case Answer::kTaken: {
      absl::MutexLock lock(&mutex_);
      counts_.samples += SamplesIn(scrapes);
      counts_.last_success_unix_seconds = absl::ToDoubleSeconds(clock_.Now() - absl::UnixEpoch());
      return true;
    }
    case Answer::kRefused:
      break;
  }
  // Prometheus refuses a whole request for one bad sample, so the request is split until that
  // sample is in a request of its own.
  if (scrapes.size() == 1) {
    Refuse(scrapes.front(), "refused", /*keep=*/true);
    return true;
  }
  const size_t half = scrapes.size() / 2;
  return Send(scrapes.subspan(0, half)) && Send(scrapes.subspan(half));
}

RemoteWriter::Answer RemoteWriter::PostUntilAnswered(absl::Span<const Scrape> scrapes) {
  const std::string message = Join(scrapes).SerializeAsString();
  std::string body;
  snappy::Compress(message.data(), message.size(), &body);
  Backoff backoff(options_.backoff_min, std::random_device{}());
  while (true) {
    bool refused = false;
    const absl::Status status = Post(body, &refused);
    {
      absl::MutexLock lock(&mutex_);
      ++counts_.requests;
      counts_.failed_requests += status.ok() ? 0 : 1;
    }
    if (!status.ok() && status != last_error_) {
      LogWarning(absl::StrCat("remote write: ", status.message()));
    }
    last_error_ = status;
    if (status.ok() || refused) {
      return refused ? Answer::kRefused : Answer::kTaken;
    }
    if (!WaitBefore(backoff.AfterFailure(options_.backoff_max))) {
      return Answer::kStopping;
    }
  }
}

absl::Status RemoteWriter::Post(const std::string& body, bool* refused) {
  httplib::Client client(host_);
  client.set_connection_timeout(kTimeoutSeconds);
  client.set_read_timeout(kTimeoutSeconds);
  client.set_write_timeout(kTimeoutSeconds);
  WATTLE_ASSIGN_OR_RETURN(const auto authorization, AuthorizationHeader(options_.credentials));
  httplib::Headers headers = {{"Content-Encoding", "snappy"},
                              {"User-Agent", "wattle-coordinator"},
                              {"X-Prometheus-Remote-Write-Version", "0.1.0"}};
  if (!authorization.first.empty()) {
    headers.insert(authorization);
  }
  const httplib::Result result = client.Post(path_, headers, body, "application/x-protobuf");
  if (!result) {
    return absl::UnavailableError(absl::StrCat(shown_url_, ": ", httplib::to_string(result.error()),
                                               "; samples wait at the workers"));
  }
  if (result->status / 100 == 2) {
    return absl::OkStatus();
  }
  *refused = IsRefusal(result->status, result->body);
  const char* remedy = "";
  if (result->status == 404) {
    remedy = "; is Prometheus started with --web.enable-remote-write-receiver?";
  } else if (result->status == 401 || result->status == 403) {
    remedy = options_.credentials.none()
                 ? "; give --remote-write-user and --remote-write-password-file, or "
                   "--remote-write-bearer-file"
                 : "; correct the secret in its file, which is read for each request";
  }
  const absl::string_view words = absl::StripAsciiWhitespace(result->body);
  return absl::UnavailableError(
      absl::StrCat(shown_url_, ": HTTP ", result->status, ": ", words.substr(0, 200), remedy));
}

void RemoteWriter::Refuse(const Scrape& scrape, const std::string& reason, bool keep) {
  const absl::Status kept = keep ? KeepOldSamples(options_, scrape) : absl::OkStatus();
  if (!kept.ok()) {
    LogWarning(absl::StrCat("remote write: ", kept.message()));
  }
  const int64_t samples = scrape.request.timeseries_size();
  absl::MutexLock lock(&mutex_);
  counts_.refused_samples[reason] += samples;
  counts_.unkept_samples += keep && kept.ok() ? 0 : samples;
}

bool RemoteWriter::WaitBefore(absl::Duration pause) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), pause);
  return !stopping_;
}

void RemoteWriter::AddMetrics(telemetry::MetricsPage& page) const {
  absl::MutexLock lock(&mutex_);
  page.Counter("wattle_coordinator_remote_write_samples_total",
               "Samples of devices that Prometheus took.", {},
               static_cast<double>(counts_.samples));
  for (const char* reason : {"too_old", "ahead", "refused"}) {
    const auto count = counts_.refused_samples.find(reason);
    page.Counter("wattle_coordinator_remote_write_refused_samples_total",
                 "Samples that Prometheus does not take, by why.", {{"reason", reason}},
                 count == counts_.refused_samples.end() ? 0 : static_cast<double>(count->second));
  }
  page.Counter("wattle_coordinator_remote_write_lost_samples_total",
               "Refused samples that are not in the coordinator's file of old samples either.", {},
               static_cast<double>(counts_.unkept_samples));
  page.Counter("wattle_coordinator_remote_write_requests_total", "Requests to Prometheus.", {},
               static_cast<double>(counts_.requests));
  page.Counter("wattle_coordinator_remote_write_failed_requests_total",
               "Requests to Prometheus without success.", {},
               static_cast<double>(counts_.failed_requests));
  page.Gauge("wattle_coordinator_remote_write_waiting_batches",
             "Batches of workers that wait for Prometheus.", {},
             static_cast<double>(waiting_.size()));
  if (counts_.last_success_unix_seconds > 0) {
    page.Gauge("wattle_coordinator_remote_write_last_success_timestamp_seconds",
               "When Prometheus took samples last; absent before the first time.", {},
               counts_.last_success_unix_seconds);
  }
}

}  // namespace wattle::remote_write
