// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Prices the job in each measured mode, and asks the regression for the present one.
#include "scheduler/predict/unmeasured_mode.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "scheduler/predict/pass_time.h"
#include "scheduler/predict/work.h"
#include "scheduler/predict/workload_cost.h"
#include "scheduler/profiles/mode_numbers.h"
#include "scheduler/profiles/run_interval.h"
#include "scheduler/profiles/signature_fields.h"

namespace wattle::scheduler {
namespace {

using WorkloadRow = ProfileTable::WorkloadRow;

// Numbers beyond these come from a faulty worker and count as unknown.
constexpr double kMegahertzMin = 1;
constexpr double kMegahertzMax = 100'000;
constexpr double kCoresMax = 4096;
// Reach of the regression relative to the highest and the lowest measured clock. A few lower clocks
// do not determine the cubic part of the watts: on measured boards the estimate for twice the clock
// was a third too high.
constexpr double kReachAbove = 1.6;
constexpr double kReachBelow = 5;
// Lower bound of the watts above idle, as a share of the nearest measured mode's: no mode works
// without power.
constexpr double kAboveIdleShareMin = 0.125;
// Boards that contribute the shape: a few suffice, and the regression's cost grows with the cube of
// the observations.
constexpr size_t kOtherBoardsMax = 4;
// Rows of other boards whose batch or length is further from the job's do not contribute to the
// shape.
constexpr double kFarRowsDeviation = 0.10;
// Deviation between two modes that differ only in cores and processor clocks, on a board whose GPU
// computes.
constexpr double kProcessorDeviation = 0.10;
// Answers that a thread keeps, about 8 MiB. Beyond this number it drops all of them.
constexpr size_t kAnswersKept = 16'384;
// Logarithms in a question are rounded to this step, so that jobs of other sizes ask the same
// question.
constexpr double kLogStep = 1e-6;

double KnownWithin(double number, double least, double most) {
  return std::isfinite(number) && number >= least && number <= most ? number : 0;
}

double KnownMegahertz(double number) {
  return KnownWithin(number, kMegahertzMin, kMegahertzMax);
}

// The numbers of a mode that decide how fast the device computes; clock_mhz 0: unknown.
ModeCell CellOf(const v1::PowerMode& mode, const v1::DeviceInfo& device) {
  ModeCell cell;
  cell.memory_mhz = KnownMegahertz(mode.memory_mhz());
  if (!device.accelerator().empty()) {
    cell.clock_mhz = KnownMegahertz(mode.gpu_mhz());
    return cell;
  }
  cell.clock_mhz = KnownMegahertz(mode.cpu_mhz());
  cell.cores = KnownWithin(mode.cores(), 1, kCoresMax);
  if (device.cores() > 0) {
    // A run has as many threads as the worker allows.
    cell.cores = std::min<double>(cell.cores, device.cores());
  }
  return cell;
}

bool SameNumbers(const ModeCell& a, const ModeCell& b) {
  return a.clock_mhz == b.clock_mhz && a.cores == b.cores && a.memory_mhz == b.memory_mhz;
}

double DistanceOf(const ModeCell& a, const ModeCell& b) {
  const auto between = [](double x, double y) { return x > 0 ? std::abs(std::log(x / y)) : 0; };
  return between(a.clock_mhz, b.clock_mhz) + between(a.cores, b.cores) +
         between(a.memory_mhz, b.memory_mhz);
}

// Modes with known numbers: the device's, followed by modes that only rows have, because the
// device's list has changed since.
struct KnownModes {
  std::vector<const v1::PowerMode*> modes;
  std::vector<uint64_t> names;  // TextDigest of the name, as in the index of the rows.
  std::vector<ModeNumbers> numbers;
  size_t listed = 0;  // The first `listed` modes are the device's.
  std::vector<ModeCell> cells;
  std::optional<size_t> present;

  void Add(const v1::PowerMode& mode, const ModeCell& cell) {
    modes.push_back(&mode);
    names.push_back(TextDigest(mode.name()));
    numbers.push_back(ModeNumbersOf(mode));
    cells.push_back(cell);
  }
  // The mode of this name, if it may have set these numbers.
  [[nodiscard]] std::optional<size_t> Find(uint64_t name, const ModeNumbers& set) const {
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == name && MaySetTheSame(numbers[i], set)) {
        return i;
      }
    }
    return std::nullopt;
  }
};

// Adds the mode of the row's runs if the device's list does not have it.
void AddFormerMode(const WorkloadRow& row, const v1::DeviceInfo& device, KnownModes* known) {
  if (row.mode_numbers == ModeNumbers() ||
      known->Find(row.power_mode, row.mode_numbers).has_value()) {
    return;
  }
  const v1::PowerMode& mode = *ModeOfRuns(row.row());
  const v1::PowerMode* const listed = FindListedMode(device, mode.name());
  const ModeCell cell = CellOf(mode, device);
  if (cell.clock_mhz > 0 &&
      (listed == nullptr || !MaySetTheSame(ModeNumbersOf(*listed), row.mode_numbers))) {
    known->Add(mode, cell);
  }
}

KnownModes KnownModesOf(absl::Span<const WorkloadRow* const> rows, const ModeTeachers& teachers,
                        const v1::DeviceInfo& device) {
  KnownModes known;
  for (const v1::PowerMode& mode : device.power_modes()) {
    if (const ModeCell cell = CellOf(mode, device); cell.clock_mhz > 0) {
      known.Add(mode, cell);
    }
  }
  known.listed = known.modes.size();
  known.present = known.Find(TextDigest(device.power_mode()), ModeNumbers());
  for (const WorkloadRow* const row : rows) {
    AddFormerMode(*row, device, &known);
  }
  if (teachers.others != nullptr) {
    for (const WorkloadRow& row : *teachers.others) {
      AddFormerMode(row, device, &known);
    }
  }
  // A number that only some modes state cannot be compared and is cleared.
  for (double ModeCell::*const number : {&ModeCell::cores, &ModeCell::memory_mhz}) {
    const auto untold = [number](const ModeCell& cell) { return cell.*number <= 0; };
    if (std::any_of(known.cells.begin(), known.cells.end(), untold)) {
      for (ModeCell& cell : known.cells) {
        cell.*number = 0;
      }
    }
  }
  return known;
}

// The job in one mode of one board, at the rate of the board's rows in that mode.
struct MeasuredMode {
  size_t mode = 0;
  WorkloadRate rate;
  double seconds = 0;
  double distance = 0;  // Deviation added by the rows' other batches and lengths.
};
using MeasuredModes = std::vector<MeasuredMode>;

// A mode's rows: only the newest one at the job's batch and length if there is one, else all.
struct RowsOfMode {
  std::vector<const v1::ProfileRow*> all;
  const v1::ProfileRow* exact = nullptr;

  void Add(const WorkloadRow& indexed, const v1::WorkloadSignature& job) {
    const v1::ProfileRow& row = indexed.row();
    all.push_back(&row);
    if (IsAtBatchAndLength(indexed, job) &&
        (exact == nullptr || row.updated_unix_seconds() > exact->updated_unix_seconds())) {
      exact = &row;
    }
  }
  [[nodiscard]] absl::Span<const v1::ProfileRow* const> Best() const {
    return exact != nullptr ? absl::MakeConstSpan(&exact, 1) : absl::MakeConstSpan(all);
  }
};

// One for each mode that has rows. REQUIRES: the rows are of one board or class.
MeasuredModes MeasureModes(absl::Span<const WorkloadRow* const> rows, const KnownModes& known,
                           const RunQuery& query) {
  std::map<size_t, RowsOfMode> by_mode;
  for (const WorkloadRow* const row : rows) {
    if (const std::optional<size_t> mode = known.Find(row->power_mode, row->mode_numbers);
        mode.has_value()) {
      by_mode[*mode].Add(*row, query.work.signature);
    }
  }
  MeasuredModes measured;
  for (const auto& [mode, of_mode] : by_mode) {
    MeasuredMode& added = measured.emplace_back();
    added.mode = mode;
    added.rate = InterpolateRate(of_mode.Best(), query);
    added.seconds =
        TimeAtRate(added.rate.seconds,
                   CostOfWork(query.work, *added.rate.nearest, added.rate.step_flops_per_parameter),
                   PassesOfWork(query.work), /*size_ratio=*/1)
            .seconds();
    // The regression already includes the deviation of repeats.
    added.distance = std::sqrt(std::max(0.0, added.rate.deviation * added.rate.deviation -
                                                 2 * kRepeatDeviation * kRepeatDeviation));
  }
  return measured;
}

// Whether the board measured modes with different numbers. Only such a board gives the shape.
bool ShowsShape(const MeasuredModes& measured, const KnownModes& known, bool of_watts) {
  const MeasuredMode* first = nullptr;
  for (const MeasuredMode& mode : measured) {
    if (of_watts && mode.rate.power_watts <= 0) {
      continue;
    }
    if (first == nullptr) {
      first = &mode;
    } else if (!SameNumbers(known.cells[mode.mode], known.cells[first->mode])) {
      return true;
    }
  }
  return false;
}

// The modes of the first boards by key of the class that give the shape.
std::vector<MeasuredModes> OtherBoards(const ProfileTable::WorkloadRows& rows,
                                       const KnownModes& known, const RunQuery& query) {
  std::vector<MeasuredModes> boards;
  const uint64_t own = TextDigest(query.device.device_id());
  // The index is sorted by key: the rows of a board stand together.
  for (auto begin = rows.begin(); begin != rows.end() && boards.size() < kOtherBoardsMax;) {
    const auto end = std::find_if(begin, rows.end(), [&](const auto& row) {
      return row.device != begin->device || row.source != begin->source ||
             row.of_class != begin->of_class || row.emulated != begin->emulated;
    });
    const bool of_other_board = begin->source == v1::PROFILE_SOURCE_MEASURED && !begin->of_class &&
                                begin->device != own && begin->emulated == query.device.emulated();
    if (of_other_board && std::any_of(begin, end, [&](const auto& row) {
          return row.power_mode != begin->power_mode || row.mode_numbers != begin->mode_numbers;
        })) {
      std::vector<const WorkloadRow*> of_board;
      for (auto at = begin; at != end; ++at) {
        if (SameWorkload(at->row().signature(), query.work.signature) && !IsOutdated(at->row())) {
          of_board.push_back(&*at);
        }
      }
      MeasuredModes measured = MeasureModes(of_board, known, query);
      measured.erase(
          std::remove_if(measured.begin(), measured.end(),
                         [](const auto& mode) { return mode.distance > kFarRowsDeviation; }),
          measured.end());
      if (ShowsShape(measured, known, /*of_watts=*/false)) {
        boards.push_back(std::move(measured));
      }
    }
    begin = end;
  }
  return boards;
}

// All inputs of the regression as one row of numbers: kNumbersOfMode for each measured mode, then
// the cells. Seconds are those of the first mode as 1.
using Question = std::vector<double>;
constexpr size_t kNumbersOfMode = 7;

double Rounded(double log) {
  return std::round(log / kLogStep) * kLogStep;
}

Question QuestionOf(const std::vector<MeasuredModes>& boards, const KnownModes& known,
                    bool with_watts) {
  Question question;
  size_t measured = 0;
  for (const MeasuredModes& board : boards) {
    measured += board.size();
  }
  question.reserve(kNumbersOfMode * measured + 3 * known.cells.size());
  for (size_t board = 0; board < boards.size(); ++board) {
    for (const MeasuredMode& mode : boards[board]) {
      const double log_seconds = Rounded(std::log(mode.seconds / boards[0][0].seconds));
      const double watts = with_watts ? mode.rate.power_watts : 0;
      const double log_watts = watts > 0 ? Rounded(std::log(watts)) : 0;
      const ModeCell& cell = known.cells[mode.mode];
      question.insert(question.end(),
                      {static_cast<double>(board), log_seconds, watts > 0 ? 1.0 : 0.0, log_watts,
                       cell.clock_mhz, cell.cores, cell.memory_mhz});
    }
  }
  for (const ModeCell& cell : known.cells) {
    question.insert(question.end(), {cell.clock_mhz, cell.cores, cell.memory_mhz});
  }
  return question;
}

std::vector<ModeObservation> ObservationsOf(const Question& question, size_t cells) {
  std::vector<ModeObservation> observations;
  for (size_t at = 0; at + 3 * cells < question.size(); at += kNumbersOfMode) {
    const double* const numbers = &question[at];
    ModeObservation& seen = observations.emplace_back();
    seen.board = absl::StrCat(numbers[0]);
    seen.seconds = std::exp(numbers[1]);
    seen.watts = numbers[2] > 0 ? std::exp(numbers[3]) : 0;
    seen.cell.clock_mhz = numbers[4];
    seen.cell.cores = numbers[5];
    seen.cell.memory_mhz = numbers[6];
  }
  return observations;
}

struct QuestionHash {
  size_t operator()(const Question& question) const {
    constexpr uint64_t kOdd = 0x9e3779b97f4a7c15u;
    uint64_t digest = question.size();
    for (const double number : question) {
      digest = (digest ^ std::bit_cast<uint64_t>(number)) * kOdd;
      digest ^= digest >> 32;
    }
    return digest;
  }
};

// One estimate for each known mode; empty: the regression returned an error. A plan asks the same
// question for each job of a workload and each mode, so answers are kept.
const std::vector<ModeEstimate>& AnswerTo(Question question, const KnownModes& known) {
  thread_local std::unordered_map<Question, std::vector<ModeEstimate>, QuestionHash> answers;
  if (const auto kept = answers.find(question); kept != answers.end()) {
    return kept->second;
  }
  if (answers.size() >= kAnswersKept) {
    answers.clear();
  }
  const absl::StatusOr<ModeRegression> learned =
      ModeRegression::Learn(ObservationsOf(question, known.cells.size()), "0", known.cells);
  return answers[std::move(question)] =
             learned.ok() ? learned->estimates() : std::vector<ModeEstimate>();
}

// Whether the clock is near enough to those that the boards measured.
bool IsInReach(double clock_mhz, const std::vector<MeasuredModes>& boards,
               const KnownModes& known) {
  double lowest = kMegahertzMax;
  double highest = 0;
  for (const MeasuredModes& board : boards) {
    for (const MeasuredMode& mode : board) {
      lowest = std::min(lowest, known.cells[mode.mode].clock_mhz);
      highest = std::max(highest, known.cells[mode.mode].clock_mhz);
    }
  }
  return clock_mhz <= kReachAbove * highest && clock_mhz * kReachBelow >= lowest;
}

const MeasuredMode& NearestTo(const ModeCell& cell, const MeasuredModes& measured,
                              const KnownModes& known) {
  return *std::min_element(measured.begin(), measured.end(), [&](const auto& a, const auto& b) {
    return DistanceOf(known.cells[a.mode], cell) < DistanceOf(known.cells[b.mode], cell);
  });
}

// Deviation between two modes with equal cells: their processors may differ although the GPU does
// not.
double ProcessorDeviation(const KnownModes& known, size_t a, size_t b) {
  const bool differ = known.modes[a]->cpu_mhz() != known.modes[b]->cpu_mhz() ||
                      known.modes[a]->cores() != known.modes[b]->cores();
  return differ && SameNumbers(known.cells[a], known.cells[b]) ? kProcessorDeviation : 0;
}

// "by the clocks of 2 measured modes of this device (7W, 15W), and of 1 other board".
std::string ClockWords(const std::vector<MeasuredModes>& boards, const KnownModes& known,
                       absl::string_view owner) {
  std::vector<std::string> names;
  for (const MeasuredMode& mode : boards[0]) {
    const v1::PowerMode& measured = *known.modes[mode.mode];
    names.push_back(mode.mode < known.listed ? measured.name() : LabelOf(measured));
  }
  std::string words = absl::StrCat("by the clocks of ", names.size(), " measured mode",
                                   names.size() == 1 ? "" : "s", " of ", owner, " (",
                                   absl::StrJoin(names, ", "), ")");
  if (boards.size() > 1) {
    absl::StrAppend(&words, ", and of ", boards.size() - 1, " other board",
                    boards.size() == 2 ? "" : "s");
  }
  return words;
}

// A mode is chosen by its joules above idle, so the estimate must stay above the idle watts.
double WattsAboveIdle(double watts, const WorkloadRate& nearest, const v1::DeviceInfo& device) {
  const double idle = std::max(device.idle_power_watts(), nearest.nearest->idle_power_watts());
  const double above = std::max(0.0, nearest.power_watts - idle);
  return std::max(watts, idle + above * kAboveIdleShareMin);
}

}  // namespace

std::optional<UnmeasuredMode> FromMeasuredModes(absl::Span<const WorkloadRow* const> rows,
                                                const ModeTeachers& teachers,
                                                const RunQuery& query) {
  const KnownModes known = KnownModesOf(rows, teachers, query.device);
  if (!known.present.has_value()) {
    return std::nullopt;
  }
  std::vector<MeasuredModes> boards = {MeasureModes(rows, known, query)};
  if (boards[0].empty()) {
    return std::nullopt;
  }
  if (teachers.others != nullptr) {
    std::vector<MeasuredModes> others = OtherBoards(*teachers.others, known, query);
    std::move(others.begin(), others.end(), std::back_inserter(boards));
  }
  const auto shown = [&](bool of_watts) {
    return std::any_of(boards.begin(), boards.end(), [&](const MeasuredModes& board) {
      return ShowsShape(board, known, of_watts);
    });
  };
  const ModeCell& cell = known.cells[*known.present];
  if (!shown(/*of_watts=*/false) || !IsInReach(cell.clock_mhz, boards, known)) {
    return std::nullopt;
  }
  const MeasuredMode& nearest = NearestTo(cell, boards[0], known);
  const bool with_watts = nearest.rate.power_watts > 0 && shown(/*of_watts=*/true);
  const std::vector<ModeEstimate>& answers = AnswerTo(QuestionOf(boards, known, with_watts), known);
  if (answers.empty()) {
    return std::nullopt;
  }
  const ModeEstimate& answer = answers[*known.present];
  UnmeasuredMode mode;
  mode.nearest = nearest.rate;
  mode.run_seconds = boards[0][0].seconds * std::exp(answer.log_seconds);
  const double distance =
      std::max_element(boards[0].begin(), boards[0].end(), [](const auto& a, const auto& b) {
        return a.distance < b.distance;
      })->distance;
  const double unseen =
      std::hypot(distance, ProcessorDeviation(known, *known.present, nearest.mode));
  mode.time_deviation = std::hypot(answer.log_seconds_deviation, unseen);
  if (with_watts) {
    mode.power_watts = WattsAboveIdle(std::exp(answer.log_watts), nearest.rate, query.device);
    mode.power_deviation = std::hypot(answer.log_watts_deviation, unseen);
  }
  mode.words = ClockWords(boards, known, teachers.owner);
  return mode;
}

}  // namespace wattle::scheduler
