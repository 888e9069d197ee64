// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "cli/fleet_view.h"
#include "cli/table.h"

#include "units/format.h"

namespace wattle::cli {
namespace {

std::string TimeText(double unix_seconds) {
  return absl::FormatTime("%Y-%m-%d %H:%M", absl::UnixEpoch() + absl::Seconds(unix_seconds),
                          absl::UTCTimeZone());
}

}  // namespace

std::string RenderForecasts(const v1::ListForecastsResponse& forecasts, const TextStyle& style) {
  if (forecasts.forecasts().empty()) {
    return "no forecasts; push one with: wattle forecast push FILE --name NAME\n";
  }
  Table table({{"forecast"},
               {"devices", Align::kLeft, true},
               {"now", Align::kRight},
               {"until (UTC)"},
               {"most", Align::kRight},
               {"pushed (UTC)"},
               {"by"}});
  for (int i = 0; i < forecasts.forecasts_size(); ++i) {
    const v1::HarvestForecast& forecast = forecasts.forecasts(i);
    const auto& hours = forecast.power_watts();
    table.AddRow(
        {forecast.name(),
         forecast.selector().empty() ? "every device" : absl::StrJoin(forecast.selector(), ", "),
         i < forecasts.selected_devices_size() ? absl::StrCat(forecasts.selected_devices(i)) : "",
         TimeText(forecast.first_hour_unix_seconds() + 3600.0 * hours.size()),
         hours.empty() ? "" : FormatPower(Watts(*std::max_element(hours.begin(), hours.end()))),
         TimeText(forecast.pushed_unix_seconds()), forecast.pushed_by()});
  }
  return table.Render(style);
}

}  // namespace wattle::cli
