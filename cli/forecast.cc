// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle forecast push|ls|rm.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "cli/fleet_view.h"
#include "cli/session.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"
#include "formats/data_set.h"
#include "formats/harvest_forecast.h"

namespace wattle::cli {
namespace {

struct ForecastFlags {
  std::string file;
  std::string name;
  std::vector<std::string> selector;
};

// The coordinator's error names the hour; this adds the line of the file.
absl::Status AtLine(const std::string& file, const absl::Status& status) {
  absl::string_view message = status.message();
  int hour = 0;
  const size_t end = message.find("]: ");
  if (!absl::ConsumePrefix(&message, "forecast.power_watts[") || end == absl::string_view::npos ||
      !absl::SimpleAtoi(message.substr(0, message.find(']')), &hour)) {
    return status;
  }
  return absl::Status(status.code(),
                      absl::StrCat(file, ":", formats::kForecastFirstLine + hour,
                                   ": watts: ", message.substr(message.find("]: ") + 3)));
}

absl::StatusOr<ExitCode> PushForecast(Session& session, const ForecastFlags& flags) {
  const auto text = formats::ReadText(flags.file);
  WATTLE_RETURN_IF_ERROR(AsBadInput(text.status()));
  auto forecast = formats::ParseHarvestForecast(*text, flags.file);
  WATTLE_RETURN_IF_ERROR(forecast.status());
  forecast->set_name(flags.name);
  forecast->mutable_selector()->Assign(flags.selector.begin(), flags.selector.end());
  v1::PushForecastRequest request;
  *request.mutable_forecast() = *forecast;
  const auto pushed = session.client().Call(&ForecastStub::PushForecast, request);
  WATTLE_RETURN_IF_ERROR(AtLine(flags.file, pushed.status()));
  session.Print(*pushed, [&] {
    return absl::StrCat("pushed ", pushed->name(), ", ", forecast->power_watts_size(),
                        forecast->power_watts_size() == 1 ? " hour\n" : " hours\n");
  });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ListForecasts(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListForecastsResponse forecasts,
                          session.client().Call(&ForecastStub::ListForecasts));
  session.Print(forecasts, [&] { return RenderForecasts(forecasts, session.style()); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> RemoveForecast(Session& session, const std::string& name) {
  WATTLE_RETURN_IF_ERROR(session.client().Call(&ForecastStub::RemoveForecast, name).status());
  session.Print(v1::RemoveForecastResponse(), [&] { return absl::StrCat("removed ", name, "\n"); });
  return ExitCode::kOk;
}

}  // namespace

void AddForecastCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* forecast = AddGroup(app, "forecast", "Forecasts of the sun for plans: push, ls, rm.",
                                "  wattle forecast push sun.csv --name weather --select site=mast\n"
                                "  wattle forecast ls\n");
  CLI::App* push = AddLeaf(
      forecast, "push",
      "Push a forecast of the watts into each device's battery. Plans trust it as far as its hours "
      "of the latest days came true.",
      "  wattle forecast push sun.csv --name weather --select site=mast\n");
  const auto flags = std::make_shared<ForecastFlags>();
  push->add_option("FILE", flags->file,
                   "CSV file with the head time,watts and a line for each hour")
      ->required();
  push->add_option("--name", flags->name, "Name; a forecast replaces the one of the same name")
      ->required();
  push->add_option("--select", flags->selector,
                   "Label of the devices that it is of, key=value or key; may be repeated. "
                   "Without it: every device");
  slot->Bind(push, [flags](Session& session) { return PushForecast(session, *flags); });
  slot->Bind(AddLeaf(forecast, "ls", "List the fleet's forecasts.", "  wattle forecast ls\n"),
             ListForecasts);
  CLI::App* remove =
      AddLeaf(forecast, "rm", "Remove a forecast.", "  wattle forecast rm weather\n");
  const auto name = std::make_shared<std::string>();
  remove->add_option("FORECAST", *name, "Name of the forecast")->required();
  slot->Bind(remove, [name](Session& session) { return RemoveForecast(session, *name); });
}

}  // namespace wattle::cli
