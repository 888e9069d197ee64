// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle devices, wattle device show|drain|resume|rm.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/fleet_view.h"
#include "cli/json_output.h"
#include "cli/labels.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

struct DeviceFlags {
  std::string device;
  std::string reason;
};

absl::StatusOr<ExitCode> ListDevices(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListDevicesResponse devices,
                          session.client().Call(&DeviceStub::ListDevices));
  session.Print(devices, [&] { return RenderDevices(devices, session.Now(), session.style()); });
  return ExitCode::kOk;
}

// Shows the list again and again until the interrupt: in place on a terminal, otherwise one list
// after the other. With -o json each list is one line.
absl::StatusOr<ExitCode> WatchDevices(Session& session) {
  constexpr absl::Duration kInterval = absl::Seconds(2);
  LiveScreen screen(*session.environment().out, session.style());
  while (true) {
    const absl::StatusOr<v1::ListDevicesResponse> devices =
        session.client().Call(&DeviceStub::ListDevices);
    if (absl::IsCancelled(devices.status())) {
      return ExitCode::kOk;  // Ctrl-C is the normal end of a watch
    }
    WATTLE_RETURN_IF_ERROR(devices.status());
    if (session.json()) {
      session.PrintText(ToJsonLine(*devices));
    } else {
      screen.Show(RenderDevices(*devices, session.Now(), session.style()));
    }
    if (!session.environment().out->good()) {
      return ExitCode::kOk;  // the output is closed; RunProgram reports the error
    }
    session.environment().sleep(kInterval);
    if (session.environment().interrupt->raised()) {
      return ExitCode::kOk;
    }
  }
}

absl::StatusOr<ExitCode> ShowDevice(Session& session, const DeviceFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Device device,
                          session.client().Call(&DeviceStub::GetDevice, flags.device));
  if (session.json()) {
    session.Print(device, [] { return std::string(); });
    return ExitCode::kOk;
  }
  WATTLE_ASSIGN_OR_RETURN(const v1::ListPoliciesResponse policies,
                          session.client().Call(&PolicyStub::ListPolicies));
  session.PrintText(RenderDevice(device, session.Now(), policies));
  return ExitCode::kOk;
}

void PrintState(Session& session, const v1::Device& device) {
  session.Print(device, [&] {
    return absl::StrCat(Printable(device.info().name()), " ", DeviceStateWord(device), "\n");
  });
}

absl::StatusOr<ExitCode> Drain(Session& session, const DeviceFlags& flags) {
  v1::DrainDeviceRequest request;
  request.set_device(flags.device);
  request.set_reason(flags.reason.empty()
                         ? absl::StrCat("drained by ", session.environment().user_name())
                         : flags.reason);
  WATTLE_ASSIGN_OR_RETURN(const v1::Device device,
                          session.client().Call(&DeviceStub::DrainDevice, request));
  PrintState(session, device);
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Resume(Session& session, const DeviceFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Device device,
                          session.client().Call(&DeviceStub::ResumeDevice, flags.device));
  PrintState(session, device);
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Remove(Session& session, const DeviceFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const v1::RemoveDeviceResponse removed,
                          session.client().Call(&DeviceStub::RemoveDevice, flags.device));
  session.Print(removed, [&] {
    return absl::StrCat("removed ", Printable(removed.name()), " (", removed.device_id(),
                        "); its jobs and joules stay on record\n");
  });
  return ExitCode::kOk;
}

using DeviceCommand = absl::StatusOr<ExitCode> (*)(Session&, const DeviceFlags&);

std::shared_ptr<DeviceFlags> BindDevice(CLI::App* leaf, CommandSlot* slot, DeviceCommand command) {
  auto flags = std::make_shared<DeviceFlags>();
  leaf->add_option("DEVICE", flags->device, "Name, id, or a unique beginning of the id")
      ->required();
  slot->Bind(leaf, [flags, command](Session& session) { return command(session, *flags); });
  return flags;
}

}  // namespace

void AddDeviceCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* list =
      AddLeaf(app, "devices", "List the fleet: state, job, power, temperature, charge.",
              "  wattle devices\n"
              "  wattle devices --watch\n"
              "  wattle -o json devices | jq -r '.devices[].info.name'\n");
  const auto watch = std::make_shared<bool>(false);
  list->add_flag("-w,--watch", *watch, "Show them again every two seconds, until Ctrl-C");
  slot->Bind(list, [watch](Session& session) {
    return *watch ? WatchDevices(session) : ListDevices(session);
  });

  CLI::App* device =
      AddGroup(app, "device", "One device: show, drain, resume, rm, token, approve, revoke.",
               "  wattle device show nano-1\n"
               "  wattle device drain nano-1 --reason \"new power supply\"\n");
  BindDevice(AddLeaf(device, "show", "Show all that is known of a device.",
                     "  wattle device show nano-1\n"),
             slot, ShowDevice);
  CLI::App* drain = AddLeaf(
      device, "drain",
      "Give a device no new work. Its attempt writes a checkpoint, stops and goes on elsewhere.",
      "  wattle device drain nano-1 --reason \"new power supply\"\n");
  const auto flags = BindDevice(drain, slot, Drain);
  drain->add_option("--reason", flags->reason, "Why, for people; shown with the device")
      ->type_name("TEXT");
  BindDevice(AddLeaf(device, "resume", "Let a drained device take work again.",
                     "  wattle device resume nano-1\n"),
             slot, Resume);
  BindDevice(AddLeaf(device, "rm",
                     "Remove a device that left the fleet from lists, plans and /sd. Its history "
                     "stays, and a job that it held goes back to the queue once its lease is over. "
                     "A worker that comes back registers again.",
                     "  wattle device rm old-pi\n"),
             slot, Remove);
  AddDeviceAccessCommands(device, slot);
}

}  // namespace wattle::cli
