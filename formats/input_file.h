// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A file that is read at given offsets by the readers of weights. The file is never mapped: if the
// disk cannot deliver a mapped page, the kernel kills the process, whereas a read returns an error.
// Thread-safe.
#ifndef WATTLE_FORMATS_INPUT_FILE_H_
#define WATTLE_FORMATS_INPUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace wattle::formats {

class InputFile {
 public:
  // kind: ".safetensors", for messages. Errors: kNotFound, and kInvalidArgument for anything but a
  // regular file.
  static absl::StatusOr<InputFile> Open(const std::string& path, absl::string_view kind);

  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  [[nodiscard]] const std::string& path() const { return path_; }
  // At the time of opening.
  [[nodiscard]] int64_t size_bytes() const { return size_bytes_; }
  // Fills `out` from the file at `offset_bytes`. Errors: kDataLoss if the file ends first;
  // kInternal if the disk cannot read.
  [[nodiscard]] absl::Status Read(int64_t offset_bytes, absl::Span<std::byte> out) const;

 private:
  InputFile(std::string path, int descriptor, int64_t size_bytes);

  std::string path_;
  int descriptor_ = -1;
  int64_t size_bytes_ = 0;
};

// The error of a file that ends too early.
absl::Status Truncated(absl::string_view file, int64_t present, int64_t wanted);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_INPUT_FILE_H_
