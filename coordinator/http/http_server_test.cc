// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/http/http_server.h"

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "httplib.h"

#include "base/http/testing/raw_connection_for_test.h"
#include "base/testing/status_matchers.h"
#include "coordinator/http/json.h"
#include "coordinator/runtime/testing/runtime_fixture.h"

namespace wattle::http {
namespace {

using testing::HasSubstr;
using testing::Not;

class HttpServerTest : public runtime::RuntimeFixture {
 protected:
  HttpServerTest() : runtime_(StartRuntime()), api_(*runtime_) { Start(access::Role::kOperator); }
  ~HttpServerTest() override { server_->Stop(); }

  // Plain HTTP, as for a debugger; https_test.cc tests the real port.
  void Start(access::Role role) {
    HttpOptions options;
    options.listen_address = "127.0.0.1:0";
    options.version = "1.2.3";
    options.nameless_role = role;
    auto server = HttpServer::Start(options);
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
    client_ = std::make_unique<httplib::Client>(absl::StrCat("http://", server_->address()));
    client_->set_read_timeout(30, 0);
  }
  std::string Get(const std::string& path, int status = 200) {
    const httplib::Result result = client_->Get(path);
    EXPECT_TRUE(result) << httplib::to_string(result.error());
    EXPECT_EQ(result ? result->status : 0, status) << path;
    return result ? result->body : "";
  }
  std::string Post(const std::string& path, const std::string& body, int status,
                   const std::string& type = "application/json") {
    const httplib::Result result = client_->Post(path, body, type);
    EXPECT_TRUE(result) << httplib::to_string(result.error());
    EXPECT_EQ(result ? result->status : 0, status) << path;
    return result ? result->body : "";
  }

  std::unique_ptr<runtime::Runtime> runtime_;
  runtime::Api api_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<httplib::Client> client_;
};

TEST_F(HttpServerTest, IsAliveAtOnceAndReadyAfterReplay) {
  EXPECT_EQ(Get("/healthz"), "ok\n");
  EXPECT_THAT(Get("/readyz", 503), HasSubstr("replayed"));
  EXPECT_THAT(Get("/api/v1/jobs", 503), HasSubstr("UNAVAILABLE"));
  server_->Serve(api_, nullptr);
  EXPECT_EQ(Get("/readyz"), "ready\n");
}

TEST_F(HttpServerTest, MetricsHaveUnitsStatesAndVersion) {
  server_->Serve(api_, nullptr);
  AddModel(*runtime_, "tiny");
  Connect(*runtime_, "device-a");
  const std::string metrics = Get("/metrics");
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_build_info{version=\"1.2.3\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_jobs{state=\"queued\"} 0"));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_attempts_total{state=\"finished\"} 0"));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_artifacts 1"));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_connected_devices 1"));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_journal_commits_total 2"));
  EXPECT_THAT(metrics, HasSubstr("wattle_device_last_seen_timestamp_seconds{device=\"name-of-"));
  EXPECT_THAT(metrics, HasSubstr("\nprocess_resident_memory_bytes "));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_queue_wait_seconds_bucket{le="));
}

TEST_F(HttpServerTest, DevicesOfOneNameAreTwoSeries) {
  server_->Serve(api_, nullptr);
  Connect(*runtime_, "device-a", "bench");
  Connect(*runtime_, "device-b", "bench");
  std::set<std::string> series;
  for (const absl::string_view line : absl::StrSplit(Get("/metrics"), '\n', absl::SkipEmpty())) {
    if (absl::StartsWith(line, "#")) {
      continue;
    }
    EXPECT_TRUE(series.emplace(line.substr(0, line.rfind(' '))).second) << "twice: " << line;
    if (absl::StartsWith(line, "wattle_device_")) {
      EXPECT_THAT(std::string(line), HasSubstr("device_id=\"device-"));
    }
  }
  EXPECT_THAT(Get("/metrics"), HasSubstr("device=\"bench\",device_id=\"device-b\""));
}

TEST_F(HttpServerTest, MetricsTellLimitsClocksAndJournal) {
  server_->Serve(api_, nullptr);
  Connect(*runtime_, "device-a");
  EXPECT_THAT(Get("/metrics"), Not(HasSubstr("wattle_device_reserve_ratio")));
  ASSERT_THAT(Ask(*runtime_, core::ApplyPolicy{runtime::PolicyOf("solar", 0.25)}).status, IsOk());
  v1::Heartbeat heartbeat;
  heartbeat.set_unix_seconds(core::ToUnix(runtime_->Now().wall) + 3600);
  heartbeat.set_has_power(true);
  heartbeat.set_power_watts(7);
  runtime_->heartbeats().SlotFor(DeviceId("device-a"))->Take(heartbeat, runtime_->Now());
  const std::string metrics = Get("/metrics");
  EXPECT_THAT(metrics, testing::ContainsRegex("wattle_device_reserve_ratio\\{.*\\} 0\\.25"));
  EXPECT_THAT(metrics,
              testing::ContainsRegex("wattle_device_clock_offset_seconds\\{.*\\} 3(600|599)"));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_journal_epoch 0\n"));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_journal_info{lineage=\""));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_overdue_jobs 0\n"));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_disk_free_bytes "));
  EXPECT_THAT(metrics, HasSubstr("wattle_coordinator_failures_total{class=\"power\"} 0\n"));
  EXPECT_THAT(metrics, Not(HasSubstr("wattle_device_power_watts"))) << "the worker's page has it";
}

// Each device reaches Prometheus by one path only.
TEST_F(HttpServerTest, ADeviceWithoutAPageOfItsOwnIsShownByTheCoordinator) {
  server_->Serve(api_, nullptr);
  core::WorkerHello hello{runtime::HelloOf("device-a")};
  hello.hello.mutable_device()->clear_metrics_address();
  ASSERT_THAT(Ask(*runtime_, std::move(hello)).status, IsOk());
  const auto slot = runtime_->heartbeats().SlotFor(DeviceId("device-a"));
  const uint64_t stream = slot->Connected(runtime_->Now());
  v1::Heartbeat heartbeat;
  heartbeat.set_has_power(true);
  heartbeat.set_power_watts(7);
  slot->Take(heartbeat, runtime_->Now());
  EXPECT_EQ(Get("/sd"), "[]");
  EXPECT_THAT(Get("/metrics"),
              testing::ContainsRegex("wattle_device_power_watts\\{.*source=\"emulated\".*\\} 7\n"));
  slot->Disconnected(stream);
  EXPECT_THAT(Get("/metrics"), Not(HasSubstr("wattle_device_power_watts")))
      << "an old value is no value";
}

TEST_F(HttpServerTest, ABodyThatIsTooLargeHasTheCodeOfItsStatus) {
  server_->Serve(api_, nullptr);
  const std::string body = Post("/api/v1/jobs", std::string((1U << 20) + 1, ' '), 413);
  EXPECT_THAT(body, HasSubstr("\"code\":\"RESOURCE_EXHAUSTED\""));
  EXPECT_THAT(body, HasSubstr("1 MiB"));
}

TEST_F(HttpServerTest, SlowPostsDoNotHoldUpHealthAndMetrics) {
  server_->Serve(api_, nullptr);
  // The HTTP library fills a table at its first request, under a guard that ThreadSanitizer does
  // not see; simultaneous requests would be reported as a race.
  EXPECT_EQ(Get("/healthz"), "ok\n");
  // Connections that send nothing after the first byte of their body.
  std::vector<std::unique_ptr<RawConnection>> posts;
  for (int i = 0; i < 16; ++i) {
    posts.push_back(std::make_unique<RawConnection>(server_->address()));
    EXPECT_TRUE(posts.back()->Send(
        "POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "Content-Length: 100\r\n\r\n{"));
  }
  EXPECT_EQ(Get("/healthz"), "ok\n");
  EXPECT_THAT(Get("/metrics"), HasSubstr("wattle_coordinator_build_info"));
  for (const auto& post : posts) {
    EXPECT_TRUE(post->IsUnanswered()) << "health was answered only after the slow posts gave up";
  }
}

TEST_F(HttpServerTest, DiscoveryListsWorkersWithTheirLabels) {
  server_->Serve(api_, nullptr);
  EXPECT_EQ(Get("/sd"), "[]");
  Connect(*runtime_, "device-a");
  google::protobuf::ListValue list;
  const std::string json = Get("/sd");
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, &list).ok()) << json;
  ASSERT_EQ(list.values_size(), 1);
  const auto& group = list.values(0).struct_value().fields();
  EXPECT_EQ(group.size(), 2U) << "Prometheus refuses keys that it does not know";
  EXPECT_EQ(group.at("targets").list_value().values(0).string_value(), "127.0.0.1:9100");
  const auto& labels = group.at("labels").struct_value().fields();
  EXPECT_EQ(labels.at("__meta_wattle_device").string_value(), "name-of-device-a");
  EXPECT_EQ(labels.at("__meta_wattle_device_id").string_value(), "device-a");
  EXPECT_EQ(labels.at("__meta_wattle_device_class").string_value(), "jetson-orin-nano");
  EXPECT_EQ(labels.at("__meta_wattle_emulated").string_value(), "true");
  for (const auto& [name, value] : labels) {
    EXPECT_TRUE(absl::StartsWith(name, "__meta_"))
        << name << " would rename a worker's own label to exported_" << name;
  }
}

TEST_F(HttpServerTest, SubmitsAndShowsJobsWithProtoFieldNames) {
  server_->Serve(api_, nullptr);
  AddModel(*runtime_, "tiny");
  v1::SubmitJobRequest request;
  *request.mutable_spec() = runtime::GenerateSpecOf("tiny");
  request.set_idempotency_key("key");
  v1::SubmitJobResponse first;
  ASSERT_THAT(FromJson(Post("/api/v1/jobs", ToJson(request), 200), first), IsOk());
  EXPECT_EQ(first.job().job_id(), "j1");
  v1::SubmitJobResponse second;
  ASSERT_THAT(FromJson(Post("/api/v1/jobs", ToJson(request), 200), second), IsOk());
  EXPECT_TRUE(second.existed());
  const std::string job = Get("/api/v1/jobs/j1");
  EXPECT_THAT(job, HasSubstr("\"submitted_unix_seconds\""));
  EXPECT_THAT(job, HasSubstr("\"output_artifact_id\":\"\"")) << "defaults are printed";
  EXPECT_THAT(Get("/api/v1/jobs?limit=5&state=JOB_STATE_QUEUED"), HasSubstr("\"j1\""));
  EXPECT_THAT(Get("/api/v1/jobs?state=JOB_STATE_FAILED"), Not(HasSubstr("\"j1\"")));
}

TEST_F(HttpServerTest, EveryCollectionAnswers) {
  server_->Serve(api_, nullptr);
  Connect(*runtime_, "device-a");
  EXPECT_THAT(Get("/api/v1/devices"), HasSubstr("device-a"));
  EXPECT_THAT(Get("/api/v1/devices/name-of-device-a"), HasSubstr("\"connected\":true"));
  EXPECT_THAT(Get("/api/v1/policies"), HasSubstr("\"policies\":[]"));
  EXPECT_THAT(Get("/api/v1/artifacts"), HasSubstr("\"artifacts\":[]"));
  EXPECT_THAT(Get("/api/v1/profiles?device_class=jetson-orin-nano"),
              HasSubstr("PROFILE_SOURCE_PUBLISHED"));
}

TEST_F(HttpServerTest, APlanIsADryRun) {
  server_->Serve(api_, nullptr);
  Connect(*runtime_, "device-a");
  const std::string plan = Post("/api/v1/plan",
                                R"({"spec": {"name": "p", "finetune": {
      "model_shape": {"architecture": "gpt2", "layers": 12, "width": 768, "heads": 12,
                      "vocabulary_size": 50257, "context_length": 1024},
      "data_shape": {"examples": 100}, "epochs": 1, "batch_size": 1, "sequence_length": 64}}})",
                                200);
  EXPECT_THAT(plan, HasSubstr("\"device_id\":\"device-a\""));
  EXPECT_THAT(Get("/api/v1/jobs"), HasSubstr("\"jobs\":[]")) << "nothing is stored";
}

TEST_F(HttpServerTest, ErrorsAreJsonWithCodeAndMessage) {
  server_->Serve(api_, nullptr);
  EXPECT_THAT(Get("/api/v1/jobs/j9", 404), HasSubstr("\"code\":\"NOT_FOUND\""));
  EXPECT_THAT(Get("/api/v1/devices/none", 404), HasSubstr("\"message\":"));
  EXPECT_THAT(Get("/nothing", 404), testing::AllOf(HasSubstr("/nothing"), HasSubstr("timetable")));
  EXPECT_THAT(Get("/%ff", 404), HasSubstr("GET /?: no such page"));
  EXPECT_THAT(Get("/api/v1/jobs?limit=many", 400), HasSubstr("many"));
  EXPECT_THAT(Get("/api/v1/jobs?state=odd", 400), HasSubstr("JOB_STATE_ACTIVE"));
  EXPECT_THAT(Post("/api/v1/jobs", R"({"spec": {"objektive": 1}})", 400), HasSubstr("objektive"));
  EXPECT_THAT(Post("/api/v1/jobs", "{}", 400, "text/plain"), HasSubstr("application/json"));
}

TEST_F(HttpServerTest, AnotherMethodIsToldWhichThePageTakes) {
  const auto expect_405 = [&](const httplib::Result& result, const std::string& allowed) {
    ASSERT_TRUE(result) << httplib::to_string(result.error());
    EXPECT_EQ(result->status, 405) << allowed;
    EXPECT_EQ(result->get_header_value("Allow"), allowed);
    EXPECT_THAT(result->body, HasSubstr("this page takes " + allowed));
  };
  server_->Serve(api_, nullptr);
  expect_405(client_->Delete("/metrics"), "GET, HEAD");
  expect_405(client_->Put("/api/v1/jobs", "{}", "application/json"), "GET, HEAD, POST");
  expect_405(client_->Get("/api/v1/jobs/j1/cancel"), "POST");
  expect_405(client_->Post("/api/v1/timetable", "{}", "application/json"), "GET, HEAD");
  EXPECT_EQ(client_->Head("/healthz")->status, 200);
  EXPECT_EQ(client_->Delete("/nothing")->status, 404);
  EXPECT_EQ(client_->Delete("/api/v1/jobs/")->status, 404);
}

TEST_F(HttpServerTest, AFieldThatNoPageTakesIsRefused) {
  server_->Serve(api_, nullptr);
  AddModel(*runtime_, "tiny");
  EXPECT_THAT(Get("/api/v1/jobs?stat=JOB_STATE_ACTIVE", 400),
              HasSubstr("\\\"stat\\\" is no field of its query; it takes kind, limit, owner"));
  EXPECT_THAT(Get("/api/v1/jobs?page_size=-1", 400), HasSubstr("page_size"));
  EXPECT_THAT(Get("/api/v1/artifacts?kind=foo", 400), HasSubstr("it takes none"));
  EXPECT_THAT(Get("/api/v1/jobs?kind=foo", 400), HasSubstr("finetune"));
  EXPECT_THAT(Get("/api/v1/jobs?two%0alines=1", 400), HasSubstr("two lines"));
  EXPECT_THAT(Get("/api/v1/jobs?%ff=1", 400), HasSubstr("is no field of its query"));
  EXPECT_THAT(Get("/api/v1/jobs?limit=-1", 400), HasSubstr("wanted 0 to"));
  EXPECT_THAT(Get("/api/v1/jobs?kind=generate&kind=finetune&owner=ada"), HasSubstr("jobs"));
  v1::SubmitJobRequest request;
  *request.mutable_spec() = runtime::GenerateSpecOf("tiny");
  EXPECT_THAT(Post("/api/v1/jobs?dry_run=true", ToJson(request), 400), HasSubstr("dry_run"));
  Get("/metrics?module=scrape");
}

// A browser sends a form, or a request without a body, to any site.
TEST_F(HttpServerTest, APageOfAnotherSiteChangesNothing) {
  server_->Serve(api_, nullptr);
  const std::string path = "/api/v1/devices/nowhere/drain";
  const auto status = [&](const std::string& origin) {
    const httplib::Result result =
        client_->Post(path, httplib::Headers{{"Origin", origin}}, "", "text/plain");
    return result ? result->status : -1;
  };
  EXPECT_EQ(status("http://elsewhere.example"), 403);
  EXPECT_EQ(status("null"), 403);
  EXPECT_EQ(status("http://" + server_->address()), 404);
  EXPECT_THAT(Post(path, "", 404), HasSubstr("nowhere"));
}

TEST_F(HttpServerTest, CallersMayWhatTheirRoleMay) {
  const auto serve = [&](access::Role role) {
    Start(role);
    server_->Serve(api_, nullptr);
  };
  const std::string drain = "/api/v1/devices/nowhere/drain";
  serve(access::Role::kViewer);
  EXPECT_THAT(Post(drain, "", 403), HasSubstr("--http-role"));
  EXPECT_THAT(Post("/api/v1/jobs", "{}", 403), HasSubstr("wanted: submitter, operator, admin"));
  EXPECT_THAT(Get("/api/v1/jobs/j9", 404), HasSubstr("j9"));
  serve(access::Role::kService);
  Get("/api/v1/jobs/j9", 403);
  EXPECT_THAT(Get("/api/v1/jobs"), HasSubstr("jobs"));
  EXPECT_THAT(Get("/metrics"), HasSubstr("wattle_coordinator_build_info"));
  EXPECT_EQ(Get("/healthz"), "ok\n");
}

TEST_F(HttpServerTest, APortInUseAndAnInvalidAddressAreReported) {
  EXPECT_THAT(HttpServer::Start({server_->address(), ""}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("in use")));
  EXPECT_THAT(HttpServer::Start({"7411", ""}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("HOST:PORT")));
}

}  // namespace
}  // namespace wattle::http
