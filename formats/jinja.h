// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The part of the template language Jinja (https://jinja.palletsprojects.com) that chat templates
// of language models use, with the settings of transformers: trim_blocks, lstrip_blocks, loop
// controls and {% generation %}. A template comes with a model and is as untrusted as the weights:
// it can read only its variables, and its steps, depth and output are limited. Unsupported parts of
// the language are errors that name the part. Templates have no clock: `strftime_now` is not
// defined, and templates then write a fixed date. Immutable after parsing; thread-safe.
#ifndef WATTLE_FORMATS_JINJA_H_
#define WATTLE_FORMATS_JINJA_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

namespace wattle::formats {

namespace jinja {
struct Block;
}

struct RenderedText {
  std::string text;
  // [begin, end) of each {% generation %} block in `text`, in bytes.
  std::vector<std::pair<size_t, size_t>> generation;
};

class JinjaTemplate {
 public:
  // file: a name for messages. Errors: kInvalidArgument "file:line: …" for text that is not a
  // template; kUnimplemented for a statement that this version does not support.
  static absl::StatusOr<JinjaTemplate> Parse(absl::string_view text, absl::string_view file);

  // variables: an object. Errors: kInvalidArgument "file:line: …", also for input that the template
  // itself refuses (raise_exception); kResourceExhausted for a template that takes too many steps.
  [[nodiscard]] absl::StatusOr<RenderedText> Render(const nlohmann::ordered_json& variables) const;
  // Whether the template has a {% generation %} block.
  [[nodiscard]] bool marks_generation() const { return marks_generation_; }

 private:
  std::string file_;
  std::shared_ptr<const jinja::Block> body_;
  bool marks_generation_ = false;
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_JINJA_H_
