// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/squad.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "formats/json.h"

namespace wattle::formats {
namespace {

// The whole SQuAD 2.0 training set takes 42 MB.
constexpr int64_t kSquadBytesMax = 1LL << 30;

absl::Status At(absl::string_view file, absl::string_view path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", path, ": ", what));
}

// The expected type of a field.
enum class Kind { kObject, kList, kText };

// A required field. path: the path of `object`, without a trailing dot; empty for the file itself.
absl::StatusOr<const Json*> Field(const Json& object, const char* name, Kind kind,
                                  absl::string_view file, absl::string_view path) {
  const absl::string_view wanted = kind == Kind::kObject ? "an object"
                                   : kind == Kind::kList ? "a list"
                                                         : "text";
  const std::string where = path.empty() ? std::string(name) : absl::StrCat(path, ".", name);
  const auto found = object.find(name);
  if (found == object.end()) {
    return At(file, where, absl::StrCat("missing; SQuAD 2.0 wants ", wanted, " here"));
  }
  const bool right = kind == Kind::kObject ? found->is_object()
                     : kind == Kind::kList ? found->is_array()
                                           : found->is_string();
  if (!right) {
    return WrongKind(file, where, wanted, *found);
  }
  return &*found;
}

// Byte offset of each code point, and of the end. Empty for ASCII text, where both are equal.
std::vector<size_t> CodePointOffsets(absl::string_view text) {
  const bool ascii = std::all_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  std::vector<size_t> offsets;
  if (ascii) {
    return offsets;
  }
  for (size_t i = 0; i < text.size(); i += std::max<size_t>(Utf8CharacterSize(text.substr(i)), 1)) {
    offsets.push_back(i);
  }
  offsets.push_back(text.size());
  return offsets;
}

// A paragraph's context, for parsing its questions.
struct Context {
  absl::string_view text;
  std::vector<size_t> offsets;  // result of CodePointOffsets
  size_t index = 0;             // into SquadDataSet::contexts

  [[nodiscard]] int64_t code_points() const {
    return static_cast<int64_t>(offsets.empty() ? text.size() : offsets.size() - 1);
  }
  [[nodiscard]] size_t ByteOffset(int64_t code_point) const {
    const auto index_in_text = static_cast<size_t>(code_point);
    return offsets.empty() ? index_in_text : offsets[index_in_text];
  }
};

absl::StatusOr<SquadAnswer> ParseAnswer(const Json& json, const Context& context,
                                        absl::string_view file, const std::string& path) {
  if (!json.is_object()) {
    return WrongKind(file, path, "an object with text and answer_start", json);
  }
  SquadAnswer answer;
  WATTLE_ASSIGN_OR_RETURN(const Json* text, Field(json, "text", Kind::kText, file, path));
  answer.text = text->get<std::string>();
  const std::string where = path + ".answer_start";
  const auto start = json.find("answer_start");
  if (start == json.end()) {
    return At(file, where, "missing; SQuAD 2.0 wants a whole number here");
  }
  const std::optional<int64_t> number = WholeNumber(*start);
  if (!number.has_value()) {
    return WrongKind(file, where, "a whole number", *start);
  }
  answer.start_code_points = *number;
  if (*number < 0 || *number > context.code_points()) {
    return At(file, where,
              absl::StrCat(*number, " is outside the context of ", context.code_points(),
                           " characters; correct the offset"));
  }
  answer.start_bytes = static_cast<int64_t>(context.ByteOffset(*number));
  // Offsets of other tools often count bytes or UTF-16 units, so the text at the offset is
  // compared.
  const absl::string_view there =
      context.text.substr(static_cast<size_t>(answer.start_bytes), answer.text.size());
  if (there != answer.text || answer.text.empty()) {
    return At(
        file, where,
        absl::StrCat("the answer \"", Printable(answer.text), "\" does not stand there but \"",
                     Printable(there), "\"; offsets count Unicode characters, not bytes"));
  }
  return answer;
}

absl::StatusOr<SquadQuestion> ParseQuestion(const Json& json, const Context& context,
                                            absl::string_view file, const std::string& path) {
  if (!json.is_object()) {
    return WrongKind(file, path, "an object", json);
  }
  SquadQuestion question;
  question.paragraph = context.index;
  WATTLE_ASSIGN_OR_RETURN(const Json* text, Field(json, "question", Kind::kText, file, path));
  WATTLE_ASSIGN_OR_RETURN(const Json* id, Field(json, "id", Kind::kText, file, path));
  question.question = text->get<std::string>();
  question.id = id->get<std::string>();
  if (const auto impossible = json.find("is_impossible");
      impossible != json.end()) {  // Absent in SQuAD 1.1.
    if (!impossible->is_boolean()) {
      return WrongKind(file, path + ".is_impossible", "true or false", *impossible);
    }
    question.is_impossible = impossible->get<bool>();
  }
  WATTLE_ASSIGN_OR_RETURN(const Json* answers, Field(json, "answers", Kind::kList, file, path));
  if (question.is_impossible && !answers->empty()) {
    return At(file, path + ".answers",
              "an impossible question has an answer; set is_impossible to false");
  }
  if (!question.is_impossible && answers->empty()) {
    return At(file, path + ".answers", "empty; give an answer or set is_impossible to true");
  }
  for (size_t i = 0; i < answers->size(); ++i) {
    WATTLE_ASSIGN_OR_RETURN(
        SquadAnswer answer,
        ParseAnswer((*answers)[i], context, file, absl::StrCat(path, ".answers[", i, "]")));
    question.answers.push_back(std::move(answer));
  }
  return question;
}

absl::Status ParseParagraph(const Json& json, absl::string_view file, const std::string& path,
                            SquadDataSet& data) {
  if (!json.is_object()) {
    return WrongKind(file, path, "an object with context and qas", json);
  }
  WATTLE_ASSIGN_OR_RETURN(const Json* text, Field(json, "context", Kind::kText, file, path));
  WATTLE_ASSIGN_OR_RETURN(const Json* questions, Field(json, "qas", Kind::kList, file, path));
  const auto& context_text = text->get_ref<const std::string&>();
  const Context context = {.text = context_text,
                           .offsets = CodePointOffsets(context_text),
                           .index = data.contexts.size()};
  for (size_t i = 0; i < questions->size(); ++i) {
    WATTLE_ASSIGN_OR_RETURN(
        SquadQuestion question,
        ParseQuestion((*questions)[i], context, file, absl::StrCat(path, ".qas[", i, "]")));
    data.questions.push_back(std::move(question));
  }
  data.contexts.push_back(context_text);
  return absl::OkStatus();
}

// Takes each paragraph out of the JSON tree when it is complete: the tree of a text takes several
// times the text's memory, and so only one paragraph's tree exists at a time.
class SquadParser {
 public:
  explicit SquadParser(absl::string_view file) : file_(file) {}

  // Callback of ParseJson. Returns false for a value that was taken.
  bool OnEvent(int depth, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    switch (event) {
      case Event::key:
        if (depth == kOfFile) {
          in_data_ = value == "data";
        } else if (depth == kOfArticle) {
          in_paragraphs_ = value == "paragraphs";
        }
        return true;
      case Event::object_start:
      case Event::array_start:
        if (depth == kOfFile) {
          in_data_ = in_data_ && event == Event::array_start;
        } else if (depth == kArticle) {
          in_paragraphs_ = false;
          paragraphs_ = 0;
        } else if (depth == kOfArticle) {
          in_paragraphs_ = in_paragraphs_ && event == Event::array_start;
        }
        return true;
      case Event::object_end:
      case Event::array_end:
      case Event::value:
        return !in_data_ || !Take(depth, value);
    }
    return true;
  }

  // json: the rest of the file.
  absl::StatusOr<SquadDataSet> Finish(const Json& json) && {
    if (!json.is_object()) {
      return WrongKind(file_, "the file", "an object with a list \"data\" (SQuAD 2.0)", json);
    }
    WATTLE_RETURN_IF_ERROR(Field(json, "data", Kind::kList, file_, "").status());
    WATTLE_RETURN_IF_ERROR(status_);
    if (data_.questions.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_, ": has no question; give a SQuAD 2.0 file with at least one"));
    }
    return std::move(data_);
  }

 private:
  // Depths of values in the JSON tree; a key has the depth of its value.
  static constexpr int kOfFile = 1;
  static constexpr int kArticle = 2;
  static constexpr int kOfArticle = 3;
  static constexpr int kParagraph = 4;

  bool Take(int depth, const Json& value) {
    if (depth == kParagraph && in_paragraphs_) {
      const std::string path =
          absl::StrCat("data[", articles_, "].paragraphs[", paragraphs_++, "]");
      if (status_.ok()) {
        status_ = ParseParagraph(value, file_, path, data_);
      }
      return true;
    }
    if (depth == kArticle) {
      const std::string path = absl::StrCat("data[", articles_++, "]");
      if (status_.ok()) {
        status_ = value.is_object() ? Field(value, "paragraphs", Kind::kList, file_, path).status()
                                    : WrongKind(file_, path, "an object with paragraphs", value);
      }
      return true;
    }
    return false;
  }

  const absl::string_view file_;
  bool in_data_ = false;        // inside the list "data"
  bool in_paragraphs_ = false;  // inside an article's list "paragraphs"
  size_t articles_ = 0;         // number read so far
  size_t paragraphs_ = 0;       // number read in the current article
  absl::Status status_;         // of the first wrong value
  SquadDataSet data_;
};

// The part of the template after the context.
std::string QuestionPart(const SquadQuestion& question) {
  return absl::StrCat("\nQuestion: ", question.question, "\nAnswer:");
}

// Tokens [begin, end) of a context.
struct ContextRange {
  size_t begin = 0;
  size_t end = 0;
};

// The tokens of a context, and their place in the pool.
struct PooledContext {
  std::vector<int64_t> tokens;
  size_t begin = 0;  // index in the pool
};

// Chooses `room` tokens of a longer context. answer: the tokens of the answer, if the context has
// one.
ContextRange ChooseWindow(size_t context_tokens, size_t room,
                          const std::optional<ContextRange>& answer) {
  if (!answer.has_value()) {
    return {.begin = 0, .end = room};
  }
  // Context on both sides of the answer, shifted where the context begins or ends.
  const size_t spare = room - (answer->end - answer->begin);
  const size_t before = std::min(answer->begin, spare / 2);
  const size_t begin = std::min(answer->begin - before, context_tokens - room);
  return {.begin = begin, .end = begin + room};
}

// The tokens of `context` that cover bytes [begin, end).
ContextRange TokensOfBytes(const std::vector<int64_t>& context, const BytePairEncoding& tokenizer,
                           size_t begin, size_t end) {
  // Positions in the tokens' bytes include the space that the tokenizer put before the text.
  begin += tokenizer.added_prefix_bytes();
  end += tokenizer.added_prefix_bytes();
  ContextRange range = {.begin = context.size(), .end = context.size()};
  size_t position = 0;
  for (size_t i = 0; i < context.size(); ++i) {
    const size_t next = position + tokenizer.TokenSizeBytes(context[i]);
    if (next > begin && range.begin == context.size()) {
      range.begin = i;
    }
    if (next >= end) {
      range.end = i + 1;
      break;
    }
    position = next;
  }
  return range;
}

// The part of a context that fits in `room` tokens; nullopt if the answer does not fit.
std::optional<ContextRange> KeptContext(const SquadQuestion& question,
                                        const std::vector<int64_t>& context,
                                        const BytePairEncoding& tokenizer, size_t room) {
  if (context.size() <= room) {
    return ContextRange{.begin = 0, .end = context.size()};
  }
  std::optional<ContextRange> answer;
  if (!question.is_impossible) {
    const SquadAnswer& first = question.answers.front();
    const auto start = static_cast<size_t>(first.start_bytes);
    answer = TokensOfBytes(context, tokenizer, start, start + first.text.size());
    if (answer->end - answer->begin > room) {
      return std::nullopt;
    }
  }
  return ChooseWindow(context.size(), room, answer);
}

// Adds one question to the pool, or counts it as dropped if it cannot fit.
void PackQuestion(const SquadQuestion& question, const PooledContext& context,
                  const BytePairEncoding& tokenizer, const PackOptions& options,
                  PackedExamples& packed) {
  const std::vector<int64_t> question_tokens = tokenizer.EncodeContinuation(QuestionPart(question));
  std::vector<int64_t> answer_tokens = tokenizer.EncodeContinuation(SquadAnswerText(question));
  answer_tokens.push_back(options.eos_token_id);
  std::vector<int64_t> begin_tokens;
  if (const std::optional<int64_t> begin = tokenizer.begin_token_id(); begin.has_value()) {
    begin_tokens.push_back(*begin);
  }
  const size_t fixed = begin_tokens.size() + question_tokens.size() + answer_tokens.size();
  const auto length = static_cast<size_t>(options.max_length_tokens);
  std::optional<ContextRange> kept;
  if (fixed <= length) {
    kept = KeptContext(question, context.tokens, tokenizer, length - fixed);
  }
  if (!kept.has_value()) {
    ++packed.dropped;
    return;
  }
  ExamplePool& pool = packed.pool;
  const bool all = options.loss_on == LossOn::kAll;
  const auto own = [&](const std::vector<int64_t>& tokens, bool counts) {
    return TokenRange{.begin = pool.AddTokens(tokens), .size = tokens.size(), .counts = counts};
  };
  pool.AddExample(
      {own(begin_tokens, false),
       {.begin = context.begin + kept->begin, .size = kept->end - kept->begin, .counts = all},
       own(question_tokens, all),
       own(answer_tokens, true)});
  packed.truncated += kept->end - kept->begin < context.tokens.size() ? 1 : 0;
}

}  // namespace

absl::StatusOr<SquadDataSet> ParseSquad(absl::string_view text, absl::string_view file) {
  SquadParser parser(file);
  WATTLE_ASSIGN_OR_RETURN(
      const Json json,
      ParseJson(text, file, [&](int depth, Json::parse_event_t event, Json& value) {
        return parser.OnEvent(depth, event, value);
      }));
  return std::move(parser).Finish(json);
}

absl::StatusOr<SquadDataSet> ReadSquad(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kSquadBytesMax));
  return ParseSquad(text, path);
}

std::string SquadPrompt(const SquadDataSet& data, const SquadQuestion& question) {
  return data.contexts[question.paragraph] + QuestionPart(question);
}

std::string SquadAnswerText(const SquadQuestion& question) {
  return question.is_impossible ? " unanswerable" : " " + question.answers.front().text;
}

absl::StatusOr<PackedExamples> PackSquad(const SquadDataSet& data,
                                         const BytePairEncoding& tokenizer,
                                         const PackOptions& options) {
  if (options.max_length_tokens < 2) {
    return absl::InvalidArgumentError(absl::StrCat("sequence_length: ", options.max_length_tokens,
                                                   " is too short; at least 2 tokens are needed"));
  }
  PackedExamples packed;
  // The questions of a paragraph are adjacent, so each context is tokenized and stored once.
  size_t paragraph = data.contexts.size();
  PooledContext context;
  for (const SquadQuestion& question : data.questions) {
    if (question.paragraph != paragraph) {
      paragraph = question.paragraph;
      context.tokens = tokenizer.Encode(data.contexts[paragraph]);
      context.begin = packed.pool.AddTokens(context.tokens);
    }
    PackQuestion(question, context, tokenizer, options, packed);
  }
  if (packed.pool.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("none of ", packed.dropped, " questions fits into ", options.max_length_tokens,
                     " tokens with its answer; raise sequence_length"));
  }
  return packed;
}

absl::StatusOr<std::vector<int64_t>> PackSquadPrompt(const SquadDataSet& data,
                                                     const SquadQuestion& question,
                                                     const BytePairEncoding& tokenizer,
                                                     int64_t max_length_tokens) {
  const std::vector<int64_t> question_tokens = tokenizer.EncodeContinuation(QuestionPart(question));
  if (static_cast<int64_t>(question_tokens.size()) > max_length_tokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("question ", Printable(question.id), " alone has ", question_tokens.size(),
                     " tokens, at most ", max_length_tokens, " fit; shorten it"));
  }
  std::vector<int64_t> tokens = tokenizer.EncodeDocument(data.contexts[question.paragraph]);
  const size_t room = static_cast<size_t>(max_length_tokens) - question_tokens.size();
  tokens.resize(std::min(tokens.size(), room));
  tokens.insert(tokens.end(), question_tokens.begin(), question_tokens.end());
  return tokens;
}

}  // namespace wattle::formats
