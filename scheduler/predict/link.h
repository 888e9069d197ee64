// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How fast a device's link carries artifacts: as its board file says, as the worker measured it, or
// assumed. A link that is there for a share of the time takes the longer for it. Pure.
#ifndef WATTLE_SCHEDULER_PREDICT_LINK_H_
#define WATTLE_SCHEDULER_PREDICT_LINK_H_

#include <string>

#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

struct LinkEstimate {
  double download_bytes_per_second = 0;
  double upload_bytes_per_second = 0;
};

LinkEstimate LinkOf(const v1::Device& device);

// "link measured 48.8 KiB/s"; "" where the device tells its rate itself.
std::string LinkWords(const v1::Device& device);

// By how much longer the transfers of the prediction take where they are as slow as one in ten was;
// 0 where nothing was measured.
double SlowLinkSeconds(const v1::LinkMeasure& measure, const v1::Prediction& prediction);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_LINK_H_
