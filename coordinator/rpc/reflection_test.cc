// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Lists every method through gRPC's reflection service and calls each with dynamic messages, as a
// generic client (grpcurl) does. The calls use none of the generated classes.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/access/access_table.h"
#include "coordinator/rpc/testing/generic_call_for_test.h"
#include "coordinator/rpc/testing/server_fixture.h"

namespace wattle::rpc {
namespace {

namespace pb = google::protobuf;

// The reflection service's own messages, from the reflection library's descriptors. Their names are
// those of gRPC's public protocol grpc.reflection.v1alpha.
std::string ReflectionRequest(const std::string& json) {
  const pb::Descriptor* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(
      "grpc.reflection.v1alpha.ServerReflectionRequest");
  EXPECT_NE(type, nullptr);
  pb::DynamicMessageFactory factory;
  const std::unique_ptr<pb::Message> message(factory.GetPrototype(type)->New());
  EXPECT_TRUE(pb::util::JsonStringToMessage(json, message.get()).ok());
  return message->SerializeAsString();
}

class ReflectionTest : public ServerFixture {
 protected:
  // Asks the reflection service and gives its response to `look` as a message.
  template <typename Look>
  void Reflect(const std::string& json, Look look) {
    const Outcome outcome =
        CallGeneric(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                    ReflectionRequest(json));
    ASSERT_EQ(outcome.replies.size(), 1U) << outcome.status.error_message();
    const pb::Descriptor* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(
        "grpc.reflection.v1alpha.ServerReflectionResponse");
    pb::DynamicMessageFactory factory;
    const std::unique_ptr<pb::Message> response(factory.GetPrototype(type)->New());
    ASSERT_TRUE(response->ParseFromString(outcome.replies[0]));
    look(*response);
  }
  static const pb::Message& Inner(const pb::Message& message, const std::string& field) {
    return message.GetReflection()->GetMessage(message,
                                               message.GetDescriptor()->FindFieldByName(field));
  }

  std::set<std::string> ListServices() {
    std::set<std::string> names;
    Reflect(R"({"list_services": "*"})", [&names](const pb::Message& response) {
      const pb::Message& list = Inner(response, "list_services_response");
      const pb::FieldDescriptor* services = list.GetDescriptor()->FindFieldByName("service");
      for (int i = 0; i < list.GetReflection()->FieldSize(list, services); ++i) {
        const pb::Message& service = list.GetReflection()->GetRepeatedMessage(list, services, i);
        names.insert(service.GetReflection()->GetString(
            service, service.GetDescriptor()->FindFieldByName("name")));
      }
    });
    return names;
  }

  // Adds the file that defines `symbol`, and what it imports, to `pool_`.
  void Learn(const std::string& symbol) {
    Reflect(absl::StrCat(R"({"file_containing_symbol": ")", symbol, R"("})"),
            [this](const pb::Message& response) { Build(response); });
  }
  void LearnFile(const std::string& name) {
    Reflect(absl::StrCat(R"({"file_by_filename": ")", name, R"("})"),
            [this](const pb::Message& response) { Build(response); });
  }
  void Build(const pb::Message& response) {
    const pb::Message& files = Inner(response, "file_descriptor_response");
    const pb::FieldDescriptor* field =
        files.GetDescriptor()->FindFieldByName("file_descriptor_proto");
    for (int i = 0; i < files.GetReflection()->FieldSize(files, field); ++i) {
      pb::FileDescriptorProto file;
      ASSERT_TRUE(file.ParseFromString(files.GetReflection()->GetRepeatedString(files, field, i)));
      if (pool_.FindFileByName(file.name()) != nullptr) {
        continue;
      }
      for (const std::string& dependency : file.dependency()) {
        if (pool_.FindFileByName(dependency) == nullptr) {
          LearnFile(dependency);
        }
      }
      ASSERT_NE(pool_.BuildFile(file), nullptr) << file.name();
    }
  }

  pb::DescriptorPool pool_;
};

struct Example {
  std::string request;  // The method's request as JSON.
  grpc::StatusCode wanted;
};

// The answers of an empty fleet. A method without a row fails the test: a new method needs a row.
const std::map<std::string, Example>& Examples() {
  using enum grpc::StatusCode;
  static const std::map<std::string, Example> examples = {
      {"wattle.v1.JobService.SubmitJob", {"{}", INVALID_ARGUMENT}},
      {"wattle.v1.JobService.GetJob", {R"({"job_id": "j1"})", NOT_FOUND}},
      {"wattle.v1.JobService.ListJobs", {R"({"limit": 5})", OK}},
      {"wattle.v1.JobService.CancelJob", {R"({"job_id": "j1"})", NOT_FOUND}},
      {"wattle.v1.JobService.WatchJob", {R"({"job_id": "j1"})", NOT_FOUND}},
      {"wattle.v1.JobService.GetJobLogs", {R"({"job_id": "j1"})", NOT_FOUND}},
      {"wattle.v1.JobService.PlanJob", {"{}", INVALID_ARGUMENT}},
      {"wattle.v1.JobService.GetTimetable", {"{}", OK}},
      {"wattle.v1.DeviceService.ListDevices", {"{}", OK}},
      {"wattle.v1.DeviceService.GetDevice", {R"({"device": "x"})", NOT_FOUND}},
      {"wattle.v1.DeviceService.DrainDevice", {R"({"device": "x"})", NOT_FOUND}},
      {"wattle.v1.DeviceService.ResumeDevice", {R"({"device": "x"})", NOT_FOUND}},
      {"wattle.v1.DeviceService.RemoveDevice", {R"({"device": "x"})", NOT_FOUND}},
      {"wattle.v1.PolicyService.ApplyPolicy",
       {R"({"policy": {"name": "p", "max_temperature_celsius": 80}})", OK}},
      {"wattle.v1.PolicyService.ListPolicies", {"{}", OK}},
      {"wattle.v1.PolicyService.DeletePolicy", {R"({"name": "none"})", NOT_FOUND}},
      {"wattle.v1.ProfileService.ListProfiles", {"{}", OK}},
      {"wattle.v1.ProfileService.ImportProfiles", {"{}", INVALID_ARGUMENT}},
      {"wattle.v1.ProfileService.RemoveImportedProfiles", {"{}", NOT_FOUND}},
      {"wattle.v1.ForecastService.PushForecast", {"{}", INVALID_ARGUMENT}},
      {"wattle.v1.ForecastService.ListForecasts", {"{}", OK}},
      {"wattle.v1.ForecastService.RemoveForecast", {R"({"name": "none"})", NOT_FOUND}},
      {"wattle.v1.UpgradeService.PlanUpgrade", {"{}", INVALID_ARGUMENT}},
      {"wattle.v1.UpgradeService.StartUpgrade",
       {R"({"version": "9.9.9", "stages": [{"fleet_ratio": 1}]})", INVALID_ARGUMENT}},
      {"wattle.v1.UpgradeService.GetUpgrade", {"{}", NOT_FOUND}},
      {"wattle.v1.UpgradeService.PauseUpgrade", {"{}", FAILED_PRECONDITION}},
      {"wattle.v1.UpgradeService.ResumeUpgrade", {"{}", FAILED_PRECONDITION}},
      {"wattle.v1.UpgradeService.AbortUpgrade", {R"({"reason": "none"})", FAILED_PRECONDITION}},
      {"wattle.v1.ArtifactService.MissingChunks",
       {R"({"manifest": {"files": [{"path": "empty"}]}})", OK}},
      {"wattle.v1.ArtifactService.PutChunks", {"{}", INVALID_ARGUMENT}},
      {"wattle.v1.ArtifactService.CommitArtifact", {"{}", INVALID_ARGUMENT}},
      {"wattle.v1.ArtifactService.GetManifest", {R"({"artifact_id": "x"})", NOT_FOUND}},
      {"wattle.v1.ArtifactService.GetChunks", {R"({"sha256": ["AAAA"]})", NOT_FOUND}},
      {"wattle.v1.ArtifactService.ListArtifacts", {"{}", OK}},
      {"wattle.v1.ArtifactService.ResolveArtifact", {R"({"reference": "none"})", NOT_FOUND}},
      {"wattle.v1.ArtifactService.RemoveArtifact", {R"({"reference": "none"})", NOT_FOUND}},
      {"wattle.v1.ArtifactService.SignArtifact", {R"({"reference": "none"})", NOT_FOUND}},
      // The caller's own certificate is under the old root.
      {"wattle.v1.PeerDirectory.Announce", {"{}", PERMISSION_DENIED}},
      {"wattle.v1.PeerDirectory.Find", {R"({"artifact_id": "x"})", PERMISSION_DENIED}},
      {"wattle.v1.PeerDirectory.Check", {"{}", PERMISSION_DENIED}},
      {"wattle.v1.PeerDirectory.EndFetch", {"{}", PERMISSION_DENIED}},
      {"wattle.v1.AccessService.GetAuthority", {"{}", OK}},
      {"wattle.v1.AccessService.RotateAuthority", {"{}", OK}},
      {"wattle.v1.AccessService.RetireAuthority", {"{}", FAILED_PRECONDITION}},
      {"wattle.v1.AccessService.Renew", {"{}", INVALID_ARGUMENT}},
      {"wattle.v1.AccessService.WhoAmI", {"{}", OK}},
      {"wattle.v1.AccessService.CreateDeviceTokens",
       {R"({"uses": 1, "count": 2, "ttl_seconds": 60})", OK}},
      {"wattle.v1.AccessService.CreatePersonToken",
       {R"({"person": "bob", "role": "king", "ttl_seconds": 60})", INVALID_ARGUMENT}},
      {"wattle.v1.AccessService.CreateServiceToken",
       {R"({"service": "prometheus", "ttl_seconds": 60})", OK}},
      {"wattle.v1.AccessService.RevokeToken", {R"({"token_id": "none"})", NOT_FOUND}},
      {"wattle.v1.AccessService.RevokeDevice", {R"({"device": "x"})", NOT_FOUND}},
      {"wattle.v1.AccessService.ApproveDevice", {R"({"device": "x"})", NOT_FOUND}},
      {"wattle.v1.AccessService.ListIdentities", {"{}", OK}},
      {"wattle.v1.AccessService.SetQuota",
       {R"({"quota": {"owner": "nobody", "open_jobs_max": 1}})", NOT_FOUND}},
      {"wattle.v1.AccessService.ListQuotas", {"{}", OK}},
      {"wattle.v1.AccessService.SetProject", {R"({"project": {"name": "a b"}})", INVALID_ARGUMENT}},
      {"wattle.v1.AccessService.RemoveProject", {R"({"name": "nowhere"})", NOT_FOUND}},
      {"wattle.v1.AccessService.ListProjects", {"{}", OK}},
      {"wattle.v1.AccessService.SetMember", {R"({"person": "nobody"})", NOT_FOUND}},
      {"wattle.v1.AccessService.RevokePerson", {R"({"person": "nobody"})", NOT_FOUND}},
      {"wattle.v1.CoordinatorService.GetCoordinator", {"{}", OK}},
      // Fewer than CallGeneric reads: it cancels a stream that has more.
      {"wattle.v1.CoordinatorService.WatchEvents", {R"({"limit": 2})", OK}},
      {"wattle.v1.CoordinatorService.ReportEnergy", {"{}", OK}},
      {"wattle.v1.FleetService.Connect", {R"({"heartbeat": {}})", PERMISSION_DENIED}},
  };
  return examples;
}

TEST_F(ReflectionTest, EveryMethodIsListedAndAnswers) {
  std::set<std::string> called;
  pb::DynamicMessageFactory factory(&pool_);
  for (const std::string& name : ListServices()) {
    if (!absl::StartsWith(name, "wattle.")) {
      continue;
    }
    Learn(name);
    const pb::ServiceDescriptor* service = pool_.FindServiceByName(name);
    ASSERT_NE(service, nullptr) << name;
    for (int i = 0; i < service->method_count(); ++i) {
      const pb::MethodDescriptor& method = *service->method(i);
      const auto example = Examples().find(method.full_name());
      ASSERT_NE(example, Examples().end()) << method.full_name() << " needs a row in Examples()";
      const std::unique_ptr<pb::Message> request(factory.GetPrototype(method.input_type())->New());
      const auto parsed = pb::util::JsonStringToMessage(example->second.request, request.get());
      ASSERT_TRUE(parsed.ok()) << method.full_name() << ": " << parsed.ToString();
      const Outcome outcome = CallGeneric(channel_, absl::StrCat("/", name, "/", method.name()),
                                          request->SerializeAsString());
      EXPECT_EQ(outcome.status.error_code(), example->second.wanted)
          << method.full_name() << ": " << outcome.status.error_message();
      const std::string& text = outcome.status.error_message();
      EXPECT_EQ(text.find('\n'), std::string::npos) << "one line: " << text;
      if (outcome.status.ok() && !outcome.replies.empty()) {
        const std::unique_ptr<pb::Message> reply(factory.GetPrototype(method.output_type())->New());
        EXPECT_TRUE(reply->ParseFromString(outcome.replies[0])) << method.full_name();
      }
      called.insert(method.full_name());
    }
  }
  EXPECT_EQ(called.size(), Examples().size()) << "every method of the protocol is served";
}

// Also those of gRPC itself: what is served is what may be called.
TEST_F(ReflectionTest, EveryMethodHasItsRowInTheAccessTable) {
  std::set<std::string> methods = {access::kReadAudit};  // A request of WatchEvents.
  for (const std::string& name : ListServices()) {
    Learn(name);
    const pb::ServiceDescriptor* service = pool_.FindServiceByName(name);
    ASSERT_NE(service, nullptr) << name;
    for (int i = 0; i < service->method_count(); ++i) {
      const std::string method = absl::StrCat("/", name, "/", service->method(i)->name());
      methods.insert(method);
      EXPECT_THAT(access::RequireRow(method), IsOk());
    }
  }
  for (const access::AccessRow& row : access::AccessTable()) {
    EXPECT_TRUE(!absl::StartsWith(row.method, "/") || methods.contains(std::string(row.method)))
        << row.method << " has a row and is not served";
  }
}

TEST_F(ReflectionTest, HealthIsServed) {
  EXPECT_TRUE(ListServices().contains("grpc.health.v1.Health"));
  const Outcome outcome = CallGeneric(channel_, "/grpc.health.v1.Health/Check", "");
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  ASSERT_EQ(outcome.replies.size(), 1U);
  EXPECT_EQ(outcome.replies[0], "\x08\x01") << "HealthCheckResponse.status = SERVING";
  // A generic client finds gRPC's own types as it finds Wattle's.
  Learn("grpc.health.v1.Health");
  ASSERT_NE(pool_.FindServiceByName("grpc.health.v1.Health"), nullptr);
  EXPECT_NE(pool_.FindServiceByName("grpc.health.v1.Health")->FindMethodByName("Watch"), nullptr);
}

}  // namespace
}  // namespace wattle::rpc
