// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/http/http_server.h"

#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "httplib.h"

#include "base/host_port.h"
#include "base/http/threaded_server.h"
#include "base/status_macros.h"
#include "coordinator/access/access_table.h"
#include "coordinator/core/projects.h"
#include "coordinator/http/json.h"
#include "coordinator/http/metrics.h"
#include "coordinator/http/requests.h"
#include "telemetry/export/metrics_page.h"

namespace wattle::http {
namespace {

using httplib::Request;
using httplib::Response;

constexpr absl::Duration kReplyTimeout = absl::Seconds(20);
constexpr int kPostsMax = 16;             // Each may wait long for its answer.
constexpr int kMisdirectedRequest = 421;  // RFC 9110, 15.5.20
constexpr int kMethodNotAllowed = 405;    // RFC 9110, 15.5.6
constexpr size_t kBodyBytesMax = size_t{1} << 20;
constexpr char kJson[] = "application/json";

void SetError(const absl::Status& status, Response& response) {
  response.status = HttpStatus(status);
  response.set_content(ErrorJson(status), kJson);
  if (absl::IsUnauthenticated(status)) {
    response.set_header("WWW-Authenticate", "Bearer");  // RFC 9110, 15.5.2
  }
}

template <typename Message>
void SetResult(const absl::StatusOr<Message>& result, Response& response) {
  if (result.ok()) {
    response.set_content(ToJson(*result), kJson);
  } else {
    SetError(result.status(), response);
  }
}

// Keeps the kind of the job, and removes prompts and the names of models and data.
void LeaveOutInputs(v1::JobSpec& spec) {
  const google::protobuf::OneofDescriptor* const kind =
      v1::JobSpec::descriptor()->FindOneofByName("kind");
  const google::protobuf::Reflection& fields = *v1::JobSpec::GetReflection();
  if (const auto* const field = fields.GetOneofFieldDescriptor(spec, kind)) {
    fields.MutableMessage(&spec, field)->Clear();
  }
}

// The error for a request that the HTTP library refused, with the code that matches the HTTP
// status.
absl::Status LibraryError(const Request& request, int status) {
  const std::string where = absl::StrCat(request.method, " ", request.path);
  if (status == 413) {
    return absl::ResourceExhaustedError(absl::StrCat(
        where, ": the body is larger than 1 MiB; push data as an artifact and name it"));
  }
  if (status == 404) {
    return absl::NotFoundError(
        absl::StrCat(where,
                     ": no such page; see /api/v1/jobs, devices, timetable, policies, "
                     "profiles, artifacts, plan"));
  }
  if (status >= 500) {
    return absl::InternalError(
        absl::StrCat(where, ": HTTP ", status, "; see the coordinator's log"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": HTTP ", status, ": not a request that this server understands"));
}

// Waits for a reply from another thread.
template <typename Message>
absl::StatusOr<Message> Await(const std::function<void(runtime::Reply<Message>)>& ask) {
  struct Shared {
    absl::Notification notification;
    absl::StatusOr<Message> result;
  };
  const auto shared = std::make_shared<Shared>();
  ask([shared](const absl::StatusOr<Message>& result) {
    shared->result = result;
    shared->notification.Notify();
  });
  if (!shared->notification.WaitForNotificationWithTimeout(kReplyTimeout)) {
    return absl::DeadlineExceededError(
        "the coordinator did not answer in time; look before "
        "repeating, or repeat with the same idempotency_key");
  }
  return shared->result;
}

// Counts a post while it is handled.
class PostSlot {
 public:
  explicit PostSlot(std::atomic<int>& posts) : posts_(posts), taken_(++posts <= kPostsMax) {}
  PostSlot(const PostSlot&) = delete;
  PostSlot& operator=(const PostSlot&) = delete;
  ~PostSlot() { --posts_; }
  [[nodiscard]] bool taken() const { return taken_; }

 private:
  std::atomic<int>& posts_;
  const bool taken_;
};

// Requires application/json, because a browser sends this type to another site only if that site
// agrees. Scripts of foreign pages therefore cannot submit jobs to a coordinator on loopback.
absl::Status ParseBody(const Request& request, google::protobuf::Message& message) {
  if (!absl::StartsWith(request.get_header_value("Content-Type"), kJson)) {
    return absl::InvalidArgumentError("Content-Type: wanted application/json");
  }
  return FromJson(request.body, message);
}

// A browser names the page that sends a POST. Without this check a foreign page could cancel jobs,
// because an action without a body needs no Content-Type.
bool OfForeignPage(const Request& request, absl::string_view scheme) {
  const std::string origin = request.get_header_value("Origin");
  const std::string host = request.get_header_value("Host");
  return request.method == "POST" && !origin.empty() && origin != absl::StrCat(scheme, "://", host);
}

std::vector<std::string> NamesOf(const HttpOptions& options, const std::string& listen_host) {
  std::vector<std::string> names = MachineNames();
  names.insert(names.end(), options.names.begin(), options.names.end());
  names.push_back(listen_host);
  return names;
}

callers::Caller NamelessCaller(access::Role role) {
  callers::Caller caller = {
      .identity = callers::IdentityOf("a caller without a certificate or token", {role}),
      .kind = callers::kAnybody};
  caller.identity.how_to_get_a_role =
      "whoever starts wattle-coordinator gives such callers a role (--http-role)";
  return caller;
}

// The name under which calls are counted; for an unproved caller, the address.
std::string CountedAs(const callers::Caller& caller, const Request& request) {
  const std::string counted = caller.counted();
  return counted.empty() ? callers::StrangerAt(request.remote_addr) : counted;
}

// The caller of a post, and its name in the post's events.
struct Asker {
  callers::Caller caller;
  v1::EventCaller event_caller;
};

// The body of an action may be empty or contain a reason.
absl::Status ParseReason(const Request& request, google::protobuf::Message& message) {
  return request.body.empty() ? absl::OkStatus() : ParseBody(request, message);
}

}  // namespace

HttpServer::HttpServer(const HttpOptions& options, const std::string& listen_host,
                       std::unique_ptr<tls::ServerContext> context)
    : version_(options.version),
      certificate_path_(options.https.has_value() ? options.https->own.chain_path : ""),
      names_(NamesOf(options, listen_host)),
      nameless_role_(options.nameless_role),
      context_(std::move(context)),
      server_(std::make_unique<ThreadedServer>(options.limits, context_.get())) {
  server_->set_payload_max_length(kBodyBytesMax);
  // The library's default lets processes share a port; here a port in use must be an error.
  server_->set_socket_options([](int socket) {
    const int yes = 1;
    // Without SO_REUSEADDR a restart would wait for old connections. A failure here has no other
    // effect.
    (void)setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpOptions& options) {
  WATTLE_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort("--http", options.listen_address));
  for (const std::string& name : options.names) {
    WATTLE_RETURN_IF_ERROR(CheckHostName("--http-name", name));
  }
  std::unique_ptr<tls::ServerContext> context;
  if (options.https.has_value()) {
    WATTLE_ASSIGN_OR_RETURN(
        context, tls::ServerContext::Open(options.https->own, options.https->client_roots));
  }
  auto http =
      std::unique_ptr<HttpServer>(new HttpServer(options, address.host, std::move(context)));
  int port = address.port;
  const bool bound = port == 0 ? (port = http->server_->bind_to_any_port(address.host)) > 0
                               : http->server_->bind_to_port(address.host, port);
  if (!bound) {
    return absl::UnavailableError(absl::StrCat(
        "--http ", options.listen_address,
        ": the address is in use or not this machine's; stop the other program or choose another "
        "port (0: any free one)"));
  }
  http->server_->WidenBacklog();
  http->address_ = FormatHostPort({address.host, port});
  WATTLE_RETURN_IF_ERROR(http->Route());
  http->thread_ = std::thread([self = http.get()] {
    self->server_->listen_after_bind();
    self->ended_ = true;
  });
  return http;
}

HttpServer::~HttpServer() {
  Stop();
}

void HttpServer::Stop() {
  if (!thread_.joinable()) {
    return;
  }
  while (!server_->is_running() && !ended_) {
    std::this_thread::yield();  // A stop() before listen_after_bind() would be lost.
  }
  server_->stop();
  thread_.join();
}

void HttpServer::On(const std::string& method, const std::string& path,
                    std::function<void(const Request&, Response&)> handle,
                    std::set<std::string> fields) {
  const std::string name = absl::StrCat(method, " ", path);
  routed_.Update(access::RequireRow(name));
  routes_.emplace_back(method, path);
  const auto guarded = [this, name, handle = std::move(handle), fields = std::move(fields)](
                           const Request& request, Response& response) {
    if (const absl::Status may = Admit(request, name); may.ok()) {
      if (const absl::Status known = CheckFields(request, fields); !known.ok()) {
        return SetError(known, response);
      }
      NoteMessage(request, name, request.body);
      handle(request, response);
      NoteMessage(request, name, response.body);
    } else {
      NoteRefusal(request, name, may);
      SetError(may, response);
    }
  };
  if (method == "GET") {
    server_->Get(PatternOf(path), guarded);
  } else {
    server_->Post(PatternOf(path), guarded);
  }
}

absl::StatusOr<callers::Caller> HttpServer::CallerOf(const Request& request,
                                                     absl::string_view route) const {
  const callers::Callers* const callers = callers_.load();
  if (callers != nullptr && request.ssl != nullptr) {
    if (const std::string pem = tls::PeerCertificate(request.ssl); !pem.empty()) {
      return callers->OfCertificate(pem);
    }
    if (request.has_header("Authorization")) {
      return callers->OfAuthorization(request.get_header_value("Authorization"));
    }
  }
  if (nameless_role_.has_value()) {
    return NamelessCaller(*nameless_role_);
  }
  return absl::UnauthenticatedError(absl::StrCat(
      route,
      ": wants a person's certificate (curl --cert), or a token of 'wattle service token NAME' in "
      "the header Authorization: Bearer"));
}

v1::EventCaller HttpServer::EventCallerOf(const Request& request, absl::string_view route) const {
  const absl::StatusOr<callers::Caller> caller = CallerOf(request, route);
  return (caller.ok() ? *caller : callers::Callers::Anybody()).At(request.remote_addr);
}

absl::Status HttpServer::Admit(const Request& request, absl::string_view route) const {
  if (access::DecideMethod({}, route).ok()) {
    return absl::OkStatus();  // Open to strangers, with any credentials.
  }
  const absl::StatusOr<callers::Caller> caller = CallerOf(request, route);
  const callers::Callers* const callers = callers_.load();
  if (callers == nullptr) {
    return caller.ok() ? access::DecideMethod(caller->identity, route) : caller.status();
  }
  if (!caller.ok()) {
    const std::string pem = request.ssl != nullptr ? tls::PeerCertificate(request.ssl) : "";
    return callers->CountRefused(callers->ShownBy(pem, callers::StrangerAt(request.remote_addr)),
                                 caller.status());
  }
  return callers->Admit(*caller, route, callers::StrangerAt(request.remote_addr));
}

void HttpServer::NoteMessage(const Request& request, absl::string_view route,
                             const std::string& body) const {
  const auto bytes = static_cast<int64_t>(body.size());
  const callers::Callers* const callers = callers_.load();
  if (callers == nullptr || bytes <= callers::kMessageBytesOfACall) {
    return;
  }
  if (const auto caller = CallerOf(request, route); caller.ok()) {
    callers->NoteMessage(CountedAs(*caller, request), bytes);
  }
}

void HttpServer::NoteRefusal(const Request& request, absl::string_view route,
                             const absl::Status& why) const {
  const callers::Callers* const callers = callers_.load();
  if (callers == nullptr) {
    return;
  }
  const absl::StatusOr<callers::Caller> caller = CallerOf(request, route);
  callers->NoteRefusal(
      caller.ok() ? CountedAs(*caller, request) : callers::StrangerAt(request.remote_addr), route,
      why);
}

absl::Status HttpServer::CheckJob(const Request& request, absl::string_view route,
                                  const std::string& job_id) const {
  const absl::StatusOr<v1::JobUpdate> job = api_.load()->UpdateOf(JobId(job_id));
  if (!job.ok()) {
    return absl::OkStatus();  // The call itself reports the missing job.
  }
  WATTLE_ASSIGN_OR_RETURN(const callers::Caller caller, CallerOf(request, route));
  const v1::JobSpec& spec = job->job().spec();
  return access::Decide(caller.identity, route,
                        {.project = core::ProjectOf(spec), .owner = spec.owner()});
}

absl::StatusOr<core::Scope> HttpServer::ScopeOf(const Request& request,
                                                absl::string_view route) const {
  WATTLE_ASSIGN_OR_RETURN(const callers::Caller caller, CallerOf(request, route));
  return callers::ScopeOf(caller, route);
}

absl::Status HttpServer::CheckProject(const callers::Caller& caller, absl::string_view route,
                                      const v1::JobSpec& spec) const {
  return core::CheckProject(*api_.load()->runtime().Version(), callers::ScopeOf(caller, route),
                            caller.identity.id, core::ProjectOf(spec));
}

Surroundings HttpServer::SurroundingsNow() const {
  Surroundings now = {.version = version_,
                      .certificate_path = certificate_path_,
                      .crowded_connections = server_->crowded_total()};
  if (const callers::Callers* const callers = callers_.load(); callers != nullptr) {
    now.refused = callers->limits().refusals();
  }
  return now;
}

absl::Status HttpServer::Route() {
  On("GET", "/healthz",
     [](const Request&, Response& response) { response.set_content("ok\n", "text/plain"); });
  On("GET", "/readyz",
     [](const Request&, Response& response) { response.set_content("ready\n", "text/plain"); });
  On("GET", "/metrics", [this](const Request&, Response& response) {
    response.set_content(MetricsText(api_.load()->runtime(), SurroundingsNow()),
                         telemetry::MetricsPage::kContentType);
  });
  On("GET", "/sd", [this](const Request&, Response& response) {
    response.set_content(DiscoveryJson(*api_.load()), kJson);
  });
  RouteReads();
  RoutePosts();
  // Every path but /healthz needs the replayed journal.
  server_->set_pre_routing_handler([this](const Request& request, Response& response) {
    return Refuses(request, response) ? httplib::Server::HandlerResponse::Handled
                                      : httplib::Server::HandlerResponse::Unhandled;
  });
  server_->set_error_handler([](const Request& request, Response& response) {
    if (response.body.empty()) {
      const int status = response.status;
      SetError(LibraryError(request, status), response);
      response.status = status;
    }
  });
  return routed_;
}

// Answers a request that reaches no route, whatever its path.
bool HttpServer::Refuses(const Request& request, Response& response) const {
  if (const size_t hosts = request.get_header_value_count("Host");
      hosts > 1 || (hosts == 0 && request.version != "HTTP/1.0")) {
    SetError(absl::InvalidArgumentError("Host: wanted this header once"), response);
    return true;
  }
  // A browser always sends the Host header, so a request without one is not from a page.
  if (request.has_header("Host")) {
    if (const absl::Status named = names_.Check(request.get_header_value("Host")); !named.ok()) {
      SetError(named, response);
      response.status = kMisdirectedRequest;
      return true;
    }
  }
  if (context_ != nullptr && RefusePlainText(request, address_, response)) {
    return true;
  }
  if (const std::string allowed = AllowedMethods(request.path);
      !allowed.empty() && !absl::StrContains(allowed, request.method)) {
    SetError(absl::UnimplementedError(
                 absl::StrCat(request.method, " ", request.path, ": this page takes ", allowed)),
             response);
    response.status = kMethodNotAllowed;
    response.set_header("Allow", allowed);
    return true;
  }
  if (api_.load() == nullptr && request.path != "/healthz") {
    SetError(absl::UnavailableError("starting: the journal is being replayed"), response);
    return true;
  }
  if (OfForeignPage(request, context_ == nullptr ? "http" : "https")) {
    SetError(absl::PermissionDeniedError(absl::StrCat(
                 "Origin: a page of ", request.get_header_value("Origin"),
                 " may not change this fleet; use the page that this coordinator serves")),
             response);
    return true;
  }
  return false;
}

std::string HttpServer::AllowedMethods(const std::string& path) const {
  std::string allowed;
  for (const auto& [method, route] : routes_) {
    if (IsOnRoute(path, route)) {
      absl::StrAppend(&allowed, allowed.empty() ? "" : ", ",
                      method == "GET" ? "GET, HEAD" : method);
    }
  }
  return allowed;
}

absl::StatusOr<v1::ListJobsResponse> HttpServer::ListJobs(const Request& request) const {
  constexpr absl::string_view kRoute = "GET /api/v1/jobs";
  WATTLE_ASSIGN_OR_RETURN(const v1::ListJobsRequest list, ParseListJobs(request));
  WATTLE_ASSIGN_OR_RETURN(const callers::Caller caller, CallerOf(request, kRoute));
  WATTLE_ASSIGN_OR_RETURN(v1::ListJobsResponse jobs,
                          api_.load()->ListJobs(list, callers::ScopeOf(caller, kRoute)));
  if (caller.identity.roles.contains(access::Role::kService)) {
    for (v1::Job& job : *jobs.mutable_jobs()) {
      LeaveOutInputs(*job.mutable_spec());
      job.clear_inputs();
    }
  }
  return jobs;
}

void HttpServer::RouteReads() {
  On(
      "GET", "/api/v1/jobs",
      [this](const Request& request, Response& response) {
        SetResult(ListJobs(request), response);
      },
      ListJobsFields());
  On("GET", "/api/v1/jobs/{job}", [this](const Request& request, Response& response) {
    v1::GetJobRequest get;
    get.set_job_id(request.matches[1].str());
    if (const absl::Status may = CheckJob(request, "GET /api/v1/jobs/{job}", get.job_id());
        !may.ok()) {
      return SetError(may, response);
    }
    SetResult(api_.load()->GetJob(get), response);
  });
  On("GET", "/api/v1/devices", [this](const Request&, Response& response) {
    SetResult(api_.load()->ListDevices({}), response);
  });
  On("GET", "/api/v1/devices/{device}", [this](const Request& request, Response& response) {
    v1::GetDeviceRequest get;
    get.set_device(request.matches[1].str());
    SetResult(api_.load()->GetDevice(get), response);
  });
  On("GET", "/api/v1/timetable", [this](const Request&, Response& response) {
    SetResult(api_.load()->GetTimetable({}), response);
  });
  On("GET", "/api/v1/policies", [this](const Request&, Response& response) {
    SetResult(api_.load()->ListPolicies({}), response);
  });
  On("GET", "/api/v1/profiles",
     [this](const Request& request, Response& response) {
       v1::ListProfilesRequest list;
       list.set_device_class(request.get_param_value("device_class"));
       SetResult(api_.load()->ListProfiles(list), response);
     },
     {"device_class"});
  On("GET", "/api/v1/artifacts", [this](const Request& request, Response& response) {
    const absl::StatusOr<core::Scope> scope = ScopeOf(request, "GET /api/v1/artifacts");
    SetResult(scope.ok() ? api_.load()->ListArtifacts({}, *scope)
                         : absl::StatusOr<v1::ListArtifactsResponse>(scope.status()),
              response);
  });
}

// Routes a post. At most kPostsMax run at once; further posts are refused, to be tried again.
template <typename Request, typename Handle>
void HttpServer::RoutePost(const std::string& path, Handle handle) {
  On("POST", path, [this, path, handle](const httplib::Request& request, Response& response) {
    const PostSlot slot(posts_);
    if (!slot.taken()) {
      response.set_header("Retry-After", "1");
      SetError(absl::UnavailableError("too many requests wait for an answer; repeat with the same "
                                      "idempotency_key in a moment"),
               response);
      return;
    }
    Request message;
    absl::Status parsed = ParseBody(request, message);
    const absl::StatusOr<callers::Caller> caller = CallerOf(request, path);
    parsed.Update(caller.status());
    if (parsed.ok()) {
      SetResult(handle(Asker{*caller, caller->At(request.remote_addr)}, message), response);
    } else {
      SetError(parsed, response);
    }
  });
}

void HttpServer::RoutePosts() {
  RoutePost<v1::PlanRequest>(
      "/api/v1/plan",
      [this](const Asker& asker, const v1::PlanRequest& plan) -> absl::StatusOr<v1::PlanResponse> {
        const absl::StatusOr<v1::JobUpdate> open = api_.load()->UpdateOf(JobId(plan.job_id()));
        WATTLE_RETURN_IF_ERROR(CheckProject(asker.caller, "POST /api/v1/plan",
                                            open.ok() ? open->job().spec() : plan.spec()));
        return api_.load()->PlanJob(plan);
      });
  RoutePost<v1::SubmitJobRequest>(
      "/api/v1/jobs",
      [this](const Asker& asker,
             v1::SubmitJobRequest& submit) -> absl::StatusOr<v1::SubmitJobResponse> {
        WATTLE_RETURN_IF_ERROR(callers::SetOwner(asker.caller, *submit.mutable_spec()));
        WATTLE_RETURN_IF_ERROR(CheckProject(asker.caller, "POST /api/v1/jobs", submit.spec()));
        return Await<v1::SubmitJobResponse>([&](runtime::Reply<v1::SubmitJobResponse> reply) {
          api_.load()->SubmitJob(submit, asker.event_caller, std::move(reply));
        });
      });
  RouteActions();
}

void HttpServer::RouteActions() {
  On("POST", "/api/v1/jobs/{job}/cancel", [this](const Request& request, Response& response) {
    v1::CancelJobRequest cancel;
    if (const absl::Status parsed = ParseReason(request, cancel); !parsed.ok()) {
      return SetError(parsed, response);
    }
    cancel.set_job_id(request.matches[1].str());
    if (const absl::Status may =
            CheckJob(request, "POST /api/v1/jobs/{job}/cancel", cancel.job_id());
        !may.ok()) {
      return SetError(may, response);
    }
    SetResult(Await<v1::Job>([&](runtime::Reply<v1::Job> reply) {
                api_.load()->CancelJob(cancel,
                                       EventCallerOf(request, "POST /api/v1/jobs/{job}/cancel"),
                                       std::move(reply));
              }),
              response);
  });
  On("POST", "/api/v1/devices/{device}/drain", [this](const Request& request, Response& response) {
    v1::DrainDeviceRequest drain;
    if (const absl::Status parsed = ParseReason(request, drain); !parsed.ok()) {
      return SetError(parsed, response);
    }
    drain.set_device(request.matches[1].str());
    SetResult(Await<v1::Device>([&](runtime::Reply<v1::Device> reply) {
                api_.load()->DrainDevice(
                    drain, EventCallerOf(request, "POST /api/v1/devices/{device}/drain"),
                    std::move(reply));
              }),
              response);
  });
  On("POST", "/api/v1/devices/{device}/resume", [this](const Request& request, Response& response) {
    v1::ResumeDeviceRequest resume;
    resume.set_device(request.matches[1].str());
    SetResult(Await<v1::Device>([&](runtime::Reply<v1::Device> reply) {
                api_.load()->ResumeDevice(
                    resume, EventCallerOf(request, "POST /api/v1/devices/{device}/resume"),
                    std::move(reply));
              }),
              response);
  });
}

}  // namespace wattle::http
