// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Every method and every route by every role, for resources of one's own and of others, over real
// TLS, against the written expectation. Then the same with each cell of the table changed: what is
// written finds each.
#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "httplib.h"

#include "artifacts/manifest.h"
#include "base/testing/status_matchers.h"
#include "coordinator/access/testing/expected_access_for_test.h"
#include "coordinator/http/http_server.h"
#include "coordinator/rpc/testing/generic_call_for_test.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "tests/attacks/push_for_test.h"
#include "tests/attacks/resource_probes_for_test.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"

namespace wattle::attacks {
namespace {

using access::Expected;
using access::Role;
using access::Whose;

constexpr char kOwnProject[] = "south";
constexpr char kForeignProject[] = "north";
constexpr size_t kStranger = access::kRoles;  // The column after those of the roles.
constexpr auto kServiceColumn = static_cast<size_t>(Role::kService);

struct Resource {
  std::string name;
  bool of_own_project = false;
  bool of_own = false;
  bool of_own_device = false;
  std::map<std::string, std::string> words = {};  // What stands for it in requests and answers.
};

bool Covers(char letter, const Resource& resource) {
  switch (letter) {
    case 'a':
      return true;
    case 'p':
      return resource.of_own_project;
    case 'o':
      return resource.of_own_project && resource.of_own;
    case 's':
      return resource.of_own;
    case 'd':
      return resource.of_own_device;
    default:
      return false;
  }
}

struct Caller {
  std::string id;
  std::shared_ptr<grpc::Channel> channel = {};   // Null: has no way to gRPC.
  std::unique_ptr<httplib::Client> client = {};  // HTTPS.
  std::vector<Resource> resources = {};
};

struct Said {
  bool by_gate = false;  // Refused before the request was looked at.
  bool refused = false;
  std::string text;  // The answer as JSON, or why there is none.
};

bool IsRoute(const std::string& method) {
  return !absl::StartsWith(method, "/");
}

std::string JsonOf(const google::protobuf::Message& message) {
  std::string json;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(message, &json).ok());
  return json;
}

class ResourceAccess : public rpc::ServerFixture {
 protected:
  ResourceAccess() {
    ServeHttps();
    MakeProject(kOwnProject);
    MakeProject(kForeignProject);
    const std::vector<std::string> people = {"vera", "sam", "otto", "alma"};
    const std::vector<std::string> roles = {"viewer", "submitter", "operator", "admin"};
    for (size_t i = 0; i < people.size(); ++i) {
      callers_[i] = Person(people[i], roles[i], kOwnProject);
    }
    for (const std::string project : {kOwnProject, kForeignProject}) {
      (void)Person(OnlyOf(project), "submitter", project);
    }
    callers_[4] = Device("board", DeviceToken());
    callers_[kServiceColumn] = Service();
    callers_[6] = Device("waiting", ApprovalToken());
    callers_[kStranger].client = ClientOf("");
    MakeResources();
  }
  ~ResourceAccess() override { https_->Stop(); }

  // A person whose jobs are only in this project.
  static std::string OnlyOf(const std::string& project) {
    return absl::StrCat("of-", project, "-alone");
  }

  void ServeHttps() {
    http_callers_ = std::make_unique<callers::Callers>(*runtime_, authority_->fleet(), limits_);
    http::HttpOptions options;
    options.listen_address = "127.0.0.1:0";
    options.https = {.own = authority_->server_files(),
                     .client_roots = tls::FixedRoots(authority_->roots_pem())};
    auto server = http::HttpServer::Start(options);
    ASSERT_THAT(server, IsOk());
    https_ = *std::move(server);
    https_->Serve(*api_, http_callers_.get());
  }
  // folder: of an identity; empty: none is shown.
  std::unique_ptr<httplib::Client> ClientOf(const std::string& folder) {
    tls::CertificateFiles own;
    if (!folder.empty()) {
      own = identity::FilesOf(*identity::Load(folder));
    }
    auto client = std::make_unique<httplib::Client>(absl::StrCat("https://", https_->address()),
                                                    own.chain_path, own.key_path);
    client->enable_server_certificate_verification(false);  // HttpsTest checks it.
    return client;
  }
  Caller Person(const std::string& name, const std::string& role, const std::string& project) {
    v1::EnrolmentToken token;
    token.set_kind(core::kPersonKind);
    token.set_person(name);
    token.set_role(role);
    token.add_projects(project);
    const std::string folder = Path(absl::StrCat("member-", name));
    Caller caller = {.id = name, .channel = ChannelOf(folder, MakeToken(token), "")};
    caller.client = ClientOf(folder);
    return caller;
  }
  Caller Device(const std::string& id, const std::string& token) {
    const std::string folder = Path(absl::StrCat("board-", id));
    Caller caller = {.id = id, .channel = ChannelOf(folder, token, id)};
    caller.client = ClientOf(folder);
    return caller;
  }
  Caller Service() {
    const tls::ServiceToken shown = {"0123456789abcdef", std::string(32, 'a')};
    v1::EnrolmentToken token;
    token.set_token_id(shown.id);
    token.set_kind(core::kServiceKind);
    token.set_person("prometheus");
    token.set_secret_sha256(tls::Sha256(shown.secret));
    token.set_expires_unix_seconds(core::ToUnix(absl::Now() + absl::Hours(1)));
    EXPECT_THAT(Ask(*runtime_, core::CreateTokens{{token}}).status, IsOk());
    Caller caller = {.id = "prometheus", .channel = nullptr, .client = ClientOf("")};
    caller.client->set_default_headers(
        {{"Authorization", absl::StrCat("Bearer ", tls::FormatServiceToken(shown))}});
    return caller;
  }

  void MakeProject(const std::string& name) {
    v1::SetProjectRequest make;
    make.mutable_project()->set_name(name);
    EXPECT_THAT(Ask(*runtime_, core::SetProject{make.project(), "ann"}).status, IsOk());
    v1::Quota quota;
    quota.set_project(name);
    quota.set_open_jobs_max(1000);
    EXPECT_THAT(Ask(*runtime_, core::SetQuota{quota, "ann"}).status, IsOk());
  }
  // A model of one chunk of eight bytes.
  void Push(const std::string& name, const std::string& project) {
    const auto stub = v1::ArtifactService::NewStub(channel_);
    EXPECT_THAT(PutChunk(*stub, TextOf(name)), IsOk());
    v1::CommitArtifactRequest commit;
    *commit.mutable_manifest() = ManifestOf(TextOf(name));
    *commit.mutable_info() = runtime::ModelInfoOf(name);
    commit.set_project(project);
    v1::ArtifactInfo pushed;
    EXPECT_THAT(Call(*stub, &v1::ArtifactService::Stub::CommitArtifact, commit, pushed), IsOk());
  }
  static std::string TextOf(const std::string& name) {
    return absl::StrCat(name, "...").substr(0, 8);
  }

  // A job of the model, on the board's stream until it has ended.
  std::string Submit(const std::string& owner, const std::string& project, const std::string& model,
                     rpc::HandWorker& worker, v1::Assignment& assignment) {
    core::SubmitJob command = {.spec = runtime::GenerateSpecOf(model),
                               .idempotency_key = absl::StrCat(owner, "/", project, "/", model)};
    command.spec.set_owner(owner);
    command.spec.set_project(project);
    const runtime::Answer answer = Ask(*runtime_, command);
    EXPECT_THAT(answer.status, IsOk());
    while (assignment.job_id() != answer.id) {
      if (!worker.ReadUntilAssigned(assignment)) {
        ADD_FAILURE() << answer.id << " was not assigned";
        return answer.id;
      }
    }
    return answer.id;
  }
  // A job that ended with joules.
  std::string EndedJob(const std::string& owner, const std::string& project,
                       const std::string& model) {
    v1::Assignment assignment;
    const std::string id = Submit(owner, project, model, *worker_, assignment);
    EXPECT_THAT(Ask(*runtime_, core::CancelJob{JobId(id), ""}).status, IsOk());
    v1::Report report;
    v1::AttemptStopped& stopped = *report.mutable_stopped();
    stopped.set_attempt_id(assignment.attempt_id());
    stopped.set_fencing_token(assignment.fencing_token());
    stopped.mutable_receipt()->set_attempt_id(assignment.attempt_id());
    stopped.mutable_receipt()->mutable_total()->set_gross_energy_joules(5);
    worker_->Report(report);
    EXPECT_TRUE(worker_->ReadUntilAcknowledged());
    return id;
  }

  void MakeResources() {
    Push("south", kOwnProject);
    Push("north", kForeignProject);
    Push("leased", kForeignProject);
    worker_ = std::make_unique<rpc::HandWorker>(callers_[4].channel, runtime::HelloOf("board"));
    std::map<std::pair<std::string, std::string>, std::string> jobs;  // By owner and project.
    for (const std::string owner :
         {"vera", "sam", "otto", "alma", "of-south-alone", "of-north-alone"}) {
      v1::Quota quota;
      quota.set_owner(owner);
      quota.set_open_jobs_max(1000);
      EXPECT_THAT(Ask(*runtime_, core::SetQuota{quota, "ann"}).status, IsOk());
      for (const std::string project : {kOwnProject, kForeignProject}) {
        if (!absl::StartsWith(owner, "of-") || owner == OnlyOf(project)) {
          jobs[{owner, project}] = EndedJob(owner, project, project);
        }
      }
    }
    v1::Assignment leased;
    board_job_ = Submit(OnlyOf(kForeignProject), kForeignProject, "leased", *worker_, leased);
    for (auto& [column, caller] : callers_) {
      // A caller that owns no job is asked about alma's.
      const std::string self = column < 4 ? caller.id : "alma";
      const auto add = [&, &caller = caller](const std::string& name, const std::string& owner,
                                             const std::string& project) {
        Resource resource = {
            .name = name, .of_own_project = project == kOwnProject, .of_own = owner == self};
        resource.words = WordsOf(jobs[{owner, project}], project, owner, project, "another-board");
        caller.resources.push_back(resource);
      };
      add("own", self, kOwnProject);
      add("another's of the project", OnlyOf(kOwnProject), kOwnProject);
      add("own of a foreign project", self, kForeignProject);
      add("foreign", OnlyOf(kForeignProject), kForeignProject);
      caller.resources.push_back({.name = "what the own board has",
                                  .of_own_device = true,
                                  .words = WordsOf(board_job_, "leased", OnlyOf(kForeignProject),
                                                   kForeignProject, caller.id)});
    }
  }
  std::map<std::string, std::string> WordsOf(const std::string& job, const std::string& model,
                                             const std::string& owner, const std::string& project,
                                             const std::string& device) {
    return {{"$JOB", job},
            {"$ARTIFACT", artifacts::IdOf(ManifestOf(TextOf(model))).value()},
            {"$CHUNK", absl::Base64Escape(tls::Sha256(TextOf(model)))},
            {"$PROJECT", project},
            {"$OWNER", owner},
            {"$BOARD_JOB", board_job_},
            {"$HELLO", JsonOf(runtime::HelloOf(device))}};
  }

  static Said CallMethod(const Caller& caller, const std::string& method, const std::string& json) {
    std::string name = absl::StrReplaceAll(method.substr(1), {{"/", "."}});
    const google::protobuf::MethodDescriptor* const found =
        google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name);
    std::string request;
    std::unique_ptr<google::protobuf::Message> answer;
    if (found != nullptr) {
      auto* const factory = google::protobuf::MessageFactory::generated_factory();
      const std::unique_ptr<google::protobuf::Message> message(
          factory->GetPrototype(found->input_type())->New());
      const auto parsed =
          google::protobuf::util::JsonStringToMessage(json.empty() ? "{}" : json, message.get());
      EXPECT_TRUE(parsed.ok()) << method << ": " << parsed.ToString();
      request = message->SerializeAsString();
      answer.reset(factory->GetPrototype(found->output_type())->New());
    }
    const size_t replies_max = json.empty() ? 1 : 10'000;
    const rpc::Outcome outcome = rpc::CallGeneric(caller.channel, method, request, replies_max);
    Said said = {.by_gate = rpc::IsRefusalOfGate(outcome.status, method),
                 .text = outcome.status.error_message()};
    said.refused = said.by_gate ||
                   outcome.status.error_code() == grpc::StatusCode::PERMISSION_DENIED ||
                   outcome.status.error_code() == grpc::StatusCode::NOT_FOUND ||
                   absl::StrContains(said.text, "chunks are missing");
    for (const std::string& reply : outcome.replies) {
      if (answer != nullptr && answer->ParseFromString(reply)) {
        absl::StrAppend(&said.text, JsonOf(*answer));
      }
    }
    return said;
  }
  static Said CallRoute(const Caller& caller, const std::string& route, const std::string& request,
                        const std::string& job) {
    const std::vector<std::string> parts = absl::StrSplit(route, ' ');
    const std::string path = absl::StrReplaceAll(parts[1], {{"{job}", job}, {"{device}", "none"}});
    const httplib::Result result =
        parts[0] == "GET"
            ? caller.client->Get(absl::StrCat(path, request))
            : caller.client->Post(path, request.empty() ? "{}" : request, "application/json");
    EXPECT_TRUE(result) << route << ": " << httplib::to_string(result.error());
    if (!result) {
      return {};
    }
    const bool by_gate = result->status == 401 || result->status == 403;
    return {.by_gate = by_gate, .refused = by_gate || result->status == 404, .text = result->body};
  }

  // Whether the caller gets what the probe asks for.
  static bool Gets(const Caller& caller, const std::string& method, const Probe& probe,
                   const Resource& resource) {
    const std::string request = absl::StrReplaceAll(probe.request, resource.words);
    const Said said = IsRoute(method)
                          ? CallRoute(caller, method, request, resource.words.at("$JOB"))
                          : CallMethod(caller, method, request);
    if (probe.names_nothing) {
      return !said.by_gate;
    }
    if (said.refused || probe.told.empty()) {
      return !said.refused;
    }
    const bool absent = absl::StartsWith(probe.told, "!");
    const std::string told = absl::StrReplaceAll(probe.told.substr(absent ? 1 : 0), resource.words);
    return absl::StrContains(said.text, told) != absent;
  }

  struct Count {
    int cells = 0;
    std::vector<std::string> wrong = {};  // Cells that are not as written.
  };
  // What the caller of the column gets of the method by all its probes.
  Count Compare(const std::string& method, size_t column) {
    Count count;
    const Caller& caller = callers_.at(column);
    if (!HasWayTo(method, column)) {
      return count;
    }
    const std::string& row = Expected().at(method);
    for (const Probe& probe : ProbesOf(method)) {
      const char letter = (probe.letters.empty() ? row : probe.letters)[column];
      for (const Resource& resource : caller.resources) {
        if (resource.of_own_device && !absl::StrContains(row, 'd')) {
          continue;  // Refused like the foreign one.
        }
        const bool may = probe.names_nothing ? letter != '-' : Covers(letter, resource);
        ++count.cells;
        if (Gets(caller, method, probe, resource) != may) {
          count.wrong.push_back(absl::StrCat(method, " by ", caller.id, ", ", resource.name, ", ",
                                             probe.request, probe.told, ": wanted ", may));
        }
        if (probe.names_nothing) {
          break;
        }
      }
    }
    return count;
  }
  static std::vector<Probe> ProbesOf(const std::string& method) {
    std::vector<Probe> probes;
    const auto [begin, end] = Probes().equal_range(method);
    for (auto it = begin; it != end; ++it) {
      probes.push_back(it->second);
    }
    if (probes.empty()) {
      probes.push_back({.names_nothing = true});
    }
    return probes;
  }
  // Whether the handler wants to know who calls, so that an open gate gives a stranger nothing.
  static bool AsksItself(const std::string& route) { return Probes().contains(route); }
  // What else a cell could say. Where no resource is named, only whether the role may call counts.
  static std::vector<Whose> OthersThan(Whose right, const Probe& probe) {
    switch (right) {
      case Whose::kNobodys:
        return {Whose::kAll};
      case Whose::kAll:
        return probe.names_nothing ? std::vector<Whose>{Whose::kNobodys}
                                   : std::vector<Whose>{Whose::kNobodys, Whose::kOwnProject};
      default:
        return probe.names_nothing ? std::vector<Whose>{Whose::kNobodys}
                                   : std::vector<Whose>{Whose::kNobodys, Whose::kAll};
    }
  }
  // A service has a token for HTTPS and none for gRPC, which takes no stranger either.
  [[nodiscard]] bool HasWayTo(const std::string& method, size_t column) const {
    return IsRoute(method) || callers_.at(column).channel != nullptr;
  }
  // Routes first: what a waiting board commits by a mutant is of the default project too. A board's
  // stream takes its former one's place, and a new root ends all: these come last.
  static std::vector<std::string> Methods() {
    std::vector<std::string> methods;
    for (const auto& [method, letters] : Expected()) {
      if (method !=
          rpc::kEnrollMethod) {  // On the gRPC port, see FrameAttacks and IdentityAttacks.
        methods.push_back(method);
      }
    }
    std::stable_partition(methods.begin(), methods.end(), &IsRoute);
    std::stable_partition(methods.begin(), methods.end(), [](const std::string& method) {
      return !absl::StrContains(method, "/Connect") && !absl::StrContains(method, "Authority");
    });
    return methods;
  }

  std::unique_ptr<callers::Callers> http_callers_;
  std::unique_ptr<http::HttpServer> https_;
  std::map<size_t, Caller> callers_;  // By the column of Expected().
  std::unique_ptr<rpc::HandWorker> worker_;
  std::string board_job_;  // The job that the board works on.
};

TEST_F(ResourceAccess, EveryRoleGetsItsOwnAndWhatIsWrittenAndNothingElse) {
  int cells = 0;
  for (const std::string& method : Methods()) {
    const std::string& letters = Expected().at(method);
    EXPECT_TRUE(letters.find_first_of("pod") == std::string::npos || Probes().contains(method))
        << method << ": nothing in Probes() asks it for a resource of one's own and of others";
    for (size_t column = 0; column <= kStranger; ++column) {
      const Count count = Compare(method, column);
      cells += count.cells;
      EXPECT_THAT(count.wrong, testing::IsEmpty());
    }
  }
  for (const auto& [method, probe] : Probes()) {
    EXPECT_TRUE(Expected().contains(method)) << method << " is no method";
  }
  RecordProperty("cells", cells);
  EXPECT_GT(cells, 1000);
}

// A role that loses a row, a role or a stranger that gets one, and a check of the resource that is
// left out: the handlers do what the row says, so that each such row is found by what somebody
// gets. A stranger gets nothing where a handler asks itself who calls.
TEST_F(ResourceAccess, EveryMutantOfARowIsFoundByACall) {
  // The table is on the heap and not constant there. Nobody calls while it changes.
  auto& table = const_cast<std::vector<access::AccessRow>&>(access::AccessTable());
  int mutants = 0;
  for (const std::string& method : Methods()) {
    const auto row = std::find_if(table.begin(), table.end(), [&](const access::AccessRow& one) {
      return one.method == method;
    });
    ASSERT_NE(row, table.end());
    const access::AccessRow right = *row;
    if (right.for_strangers) {
      row->for_strangers = false;
      EXPECT_FALSE(Compare(method, kStranger).wrong.empty()) << method << ": not for strangers";
      ++mutants;
      *row = right;
      continue;
    }
    if (HasWayTo(method, kStranger)) {
      row->for_strangers = true;
      const bool found = !Compare(method, kStranger).wrong.empty();
      EXPECT_EQ(found, !AsksItself(method)) << method << ": for strangers";
      mutants += found ? 1 : 0;
      *row = right;
    }
    for (size_t column = 0; column < kStranger; ++column) {
      if (!HasWayTo(method, column)) {
        continue;
      }
      for (const Whose whose : OthersThan(right.whose[column], ProbesOf(method).front())) {
        row->whose[column] = whose;
        EXPECT_FALSE(Compare(method, column).wrong.empty())
            << method << ": " << access::RoleName(static_cast<Role>(column)) << " as "
            << static_cast<int>(whose);
        ++mutants;
        *row = right;
      }
    }
  }
  RecordProperty("mutants", mutants);
  EXPECT_GT(mutants, 500);
}

}  // namespace
}  // namespace wattle::attacks
