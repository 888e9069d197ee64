// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/jinja.h"

#include <cstdint>
#include <map>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/jinja_operations_internal.h"
#include "formats/jinja_syntax_internal.h"
#include "formats/jinja_value_internal.h"
#include "formats/json.h"

namespace wattle::formats {
namespace jinja {
namespace {

constexpr int64_t kStepsMax = 2'000'000;
constexpr size_t kTextBytesMax = size_t{16} << 20;
constexpr int64_t kRangeMax = 100'000;
constexpr int kCallDepthMax = 20;

using Kind = Expression::Kind;

// Runs one template once. The first error is kept and stops the run.
class Run {
 public:
  Run(absl::string_view file, const OrderedJson& variables) : file_(file) {
    const Value all = Of(variables);
    scopes_.emplace_back();
    for (const auto& [name, value] : all.json().items()) {
      scopes_.back()[name] = PartOf(all, value);
    }
  }

  absl::StatusOr<RenderedText> All(const Block& body) {
    (void)Statements(body);  // a break outside of loops ends the text, as nothing can follow
    if (!status_.ok()) {
      return status_;
    }
    return std::move(out_);
  }

 private:
  enum class Flow { kGoOn, kBreak, kContinue };

  [[nodiscard]] bool ok() const { return status_.ok(); }
  void Fail(int line, const absl::Status& why) {
    if (ok()) {
      status_ = absl::Status(why.code(),
                             absl::StrCat(file_, ":", line, ": ", std::string(why.message())));
    }
  }
  void Fail(int line, absl::string_view why) { Fail(line, absl::InvalidArgumentError(why)); }
  template <typename T>
  T Take(int line, absl::StatusOr<T> result) {
    if (!result.ok()) {
      Fail(line, result.status());
      return T{};
    }
    return *std::move(result);
  }
  // size: number of elements that the step visits, so that a few steps over a long list count as
  // many.
  void Step(int line, size_t size = 0) {
    steps_ += 1 + static_cast<int64_t>(size);
    if (steps_ > kStepsMax) {
      Fail(line, absl::ResourceExhaustedError("the template takes too many steps"));
    }
  }
  [[nodiscard]] static size_t SizeOf(const Value& value) {
    constexpr size_t kBytesOfAStep = 64;
    return value.is_text() ? value.text().size() / kBytesOfAStep : value.json().size();
  }
  void Write(int line, absl::string_view text) {
    if (out_.text.size() + text.size() > kTextBytesMax) {
      Fail(line, absl::ResourceExhaustedError("the text is longer than 16 MiB"));
      return;
    }
    out_.text.append(text.data(), text.size());
  }

  // ---- statements
  Flow Statements(const Block& block) {
    for (const Statement& statement : block.statements) {
      const Flow flow = One(statement);
      if (!ok() || flow != Flow::kGoOn) {
        return flow;
      }
    }
    return Flow::kGoOn;
  }

  Flow One(const Statement& statement) {
    Step(statement.line);
    switch (statement.kind) {
      case Statement::Kind::kText:
        Write(statement.line, statement.text);
        break;
      case Statement::Kind::kPrint:
        Write(statement.line, Take(statement.line, Printed(Evaluate(statement.value))));
        break;
      case Statement::Kind::kIf:
        return Statements(IsTrue(Evaluate(statement.value)) ? statement.body : statement.otherwise);
      case Statement::Kind::kFor:
        return For(statement);
      case Statement::Kind::kSet:
        Set(statement);
        break;
      case Statement::Kind::kMacro:
        scopes_.back()[statement.text] = {.macro = &statement};
        break;
      case Statement::Kind::kGeneration: {
        const size_t begin = out_.text.size();
        const Flow flow = Statements(statement.body);
        if (captures_ == 0) {
          out_.generation.emplace_back(begin, out_.text.size());
        }
        return flow;
      }
      case Statement::Kind::kBreak:
        return Flow::kBreak;
      case Statement::Kind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kGoOn;
  }

  // Assigns the parts of `value` to the names; a single name gets the whole value.
  void Assign(const Statement& statement, const Value& value) {
    if (statement.targets.size() == 1) {
      Name(statement.line, statement.targets.front(), value);
      return;
    }
    if (!value.json().is_array() || value.json().size() != statement.targets.size()) {
      Fail(statement.line, absl::StrCat(statement.targets.size(), " names for ", KindOf(value)));
      return;
    }
    for (size_t i = 0; i < statement.targets.size(); ++i) {
      Name(statement.line, statement.targets[i], PartOf(value, value.json()[i]));
    }
  }

  void Name(int line, const std::string& target, const Value& value) {
    const size_t dot = target.find('.');
    if (dot == std::string::npos) {
      scopes_.back()[target] = value;
      return;
    }
    const Value space = Find(target.substr(0, dot));
    if (space.space == nullptr || value.macro != nullptr) {
      Fail(line, absl::StrCat(Printable(target), ": only a namespace has fields to set"));
      return;
    }
    (*space.space)[target.substr(dot + 1)] = OrderedJson(value.json());
  }

  void Set(const Statement& statement) {
    if (statement.has_value) {
      Assign(statement, Evaluate(statement.value));
      return;
    }
    const std::string text = Captured(statement.body);
    Assign(statement, Of(text));
  }

  // Runs the statements and returns their output instead of writing it.
  std::string Captured(const Block& body) {
    const size_t begin = out_.text.size();
    ++captures_;
    (void)Statements(body);  // break and continue end only this block
    --captures_;
    std::string text = out_.text.substr(begin);
    out_.text.resize(begin);
    return text;
  }

  Flow For(const Statement& statement) {
    const Value list = Take(statement.line, Filter("list", Evaluate(statement.value), {}));
    if (!ok()) {
      return Flow::kGoOn;
    }
    Step(statement.line, list.json().size());
    std::vector<Value> elements;
    for (const OrderedJson& element : list.json()) {
      if (!ok()) {
        return Flow::kGoOn;
      }
      scopes_.emplace_back();
      const Value value = PartOf(list, element);
      Assign(statement, value);
      if (!statement.has_condition || IsTrue(Evaluate(statement.condition))) {
        elements.push_back(value);
      }
      scopes_.pop_back();
    }
    if (elements.empty()) {
      return Statements(statement.otherwise);
    }
    const auto count = static_cast<int64_t>(elements.size());
    for (int64_t i = 0; i < count && ok(); ++i) {
      scopes_.emplace_back();
      OrderedJson loop = {{"index", i + 1},        {"index0", i},
                          {"revindex", count - i}, {"revindex0", count - i - 1},
                          {"first", i == 0},       {"last", i + 1 == count},
                          {"length", count},       {"depth", 1}};
      if (i > 0) {
        loop["previtem"] = elements[static_cast<size_t>(i - 1)].json();
      }
      if (i + 1 < count) {
        loop["nextitem"] = elements[static_cast<size_t>(i + 1)].json();
      }
      scopes_.back()["loop"] = Of(std::move(loop));
      Assign(statement, elements[static_cast<size_t>(i)]);
      const Flow flow = Statements(statement.body);
      scopes_.pop_back();
      if (flow == Flow::kBreak) {
        break;
      }
    }
    return Flow::kGoOn;
  }

  // ---- expressions
  [[nodiscard]] Value Find(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (const auto found = scope->find(name); found != scope->end()) {
        return found->second;
      }
    }
    return {};
  }

  Value Evaluate(const Expression& expression) {
    Step(expression.line);
    if (!ok()) {
      return {};
    }
    const auto part = [&](size_t i) { return Evaluate(expression.parts[i]); };
    switch (expression.kind) {
      case Kind::kLiteral:
        return Of(expression.literal);
      case Kind::kName:
        return Find(expression.name);
      case Kind::kList: {
        OrderedJson list = OrderedJson::array();
        for (size_t i = 0; i < expression.parts.size(); ++i) {
          list.push_back(part(i).json());
        }
        return Of(std::move(list));
      }
      case Kind::kDict:
        return Dict(expression);
      case Kind::kAttribute:
        return PartOfValue(expression, part(0), expression.name);
      case Kind::kItem: {
        const Value whole = part(0);
        return PartOfValue(expression, whole, part(1).json());
      }
      case Kind::kSlice: {
        const Value whole = part(0);
        const Value begin = part(1);
        const Value end = part(2);
        return Take(expression.line, Slice(whole, begin, end, part(3)));
      }
      case Kind::kCall:
        return Call(expression);
      case Kind::kFilter: {
        const Value value = part(0);
        Step(expression.line, SizeOf(value));
        return Take(expression.line,
                    Filter(expression.name, value, ArgumentsOf(expression.arguments)));
      }
      case Kind::kTest: {
        const Value value = part(0);
        return Of(
            Take(expression.line, Test(expression.name, value, ArgumentsOf(expression.arguments))));
      }
      case Kind::kNot:
        return Of(!IsTrue(part(0)));
      case Kind::kNegative:
        return Take(expression.line, Binary("-", Of(0), part(0)));
      case Kind::kBinary:
        return BinaryOf(expression);
      case Kind::kChoice:
        return IsTrue(part(1)) ? part(0) : expression.parts.size() > 2 ? part(2) : Value{};
    }
    return {};
  }

  Value BinaryOf(const Expression& expression) {
    const Value left = Evaluate(expression.parts[0]);
    if (expression.name == "and" || expression.name == "or") {
      return IsTrue(left) == (expression.name == "or") ? left : Evaluate(expression.parts[1]);
    }
    const Value right = Evaluate(expression.parts[1]);
    Step(expression.line, SizeOf(left) + SizeOf(right));
    if (!ok()) {
      return {};
    }
    Value result = Take(expression.line, Binary(expression.name, left, right));
    if (result.is_text() && result.text().size() > kTextBytesMax) {
      Fail(expression.line, absl::ResourceExhaustedError("a text is longer than 16 MiB"));
    }
    return result;
  }

  Value Dict(const Expression& expression) {
    OrderedJson dict = OrderedJson::object();
    for (size_t i = 0; i + 1 < expression.parts.size(); i += 2) {
      const Value key = Evaluate(expression.parts[i]);
      if (!key.is_text()) {
        Fail(expression.line, "a key of a dict that is no text");
        return {};
      }
      dict[key.text()] = OrderedJson(Evaluate(expression.parts[i + 1]).json());
    }
    return Of(std::move(dict));
  }

  Value PartOfValue(const Expression& expression, const Value& whole, const OrderedJson& key) {
    if (!whole.defined()) {
      Fail(expression.line,
           absl::StrCat("a part of an undefined value",
                        expression.parts[0].kind == Kind::kName
                            ? absl::StrCat(", ", Printable(expression.parts[0].name))
                            : ""));
      return {};
    }
    return Part(whole, key);
  }

  Arguments ArgumentsOf(const std::vector<Argument>& written) {
    Arguments arguments;
    for (const Argument& each : written) {
      if (each.name.empty()) {
        arguments.by_place.push_back(Evaluate(each.value));
      } else {
        arguments.by_name[each.name] = Evaluate(each.value);
      }
    }
    return arguments;
  }

  Value Call(const Expression& expression) {
    const Expression& called = expression.parts[0];
    const Arguments arguments = ArgumentsOf(expression.arguments);
    if (called.kind == Kind::kAttribute) {
      const Value whole = Evaluate(called.parts[0]);
      return ok() ? Take(expression.line, Method(called.name, whole, arguments)) : Value{};
    }
    const Value function = Evaluate(called);
    if (function.macro != nullptr) {
      return CallMacro(expression.line, *function.macro, arguments);
    }
    if (called.kind == Kind::kName && !function.defined()) {
      return CallBuiltIn(expression.line, called.name, arguments);
    }
    Fail(expression.line, absl::StrCat("a call of ", KindOf(function)));
    return {};
  }

  Value CallBuiltIn(int line, const std::string& name, const Arguments& arguments) {
    if (name == "raise_exception") {
      const Value message = arguments.Get(0, "message");
      Fail(line, absl::StrCat("the template refuses this: ",
                              message.is_text() ? Printable(message.text()) : ""));
      return {};
    }
    if (name == "namespace" || name == "dict") {
      auto space = std::make_shared<OrderedJson>(OrderedJson::object());
      for (const auto& [field, value] : arguments.by_name) {
        (*space)[field] = OrderedJson(value.json());
      }
      return {.data = space, .space = name == "namespace" ? space : nullptr};
    }
    if (name == "range") {
      const auto number = [&](size_t place, int64_t absent) {
        const Value value = arguments.Get(place, "");
        return value.json().is_number_integer() ? value.json().get<int64_t>() : absent;
      };
      const bool one = arguments.by_place.size() == 1;
      const int64_t step = number(2, 1);
      const int64_t begin = one ? 0 : number(0, 0);
      const int64_t end = number(one ? 0 : 1, 0);
      OrderedJson list = OrderedJson::array();
      if (step == 0 || end > kRangeMax || begin > kRangeMax || begin < -kRangeMax ||
          end < -kRangeMax || step > kRangeMax || step < -kRangeMax) {
        Fail(line, "range: wants numbers up to 100000 and a step");
        return {};
      }
      for (int64_t i = begin; step > 0 ? i < end : i > end; i += step) {
        list.push_back(i);
      }
      Step(line, list.size());
      return Of(std::move(list));
    }
    Fail(line, absl::StrCat("there is no function ", Printable(name)));
    return {};
  }

  Value CallMacro(int line, const Statement& macro, const Arguments& arguments) {
    if (++calls_ > kCallDepthMax) {
      Fail(line, "macros call each other too deeply");
    }
    // A macro can read the template's variables and its own.
    std::vector<std::map<std::string, Value>> outer = std::move(scopes_);
    scopes_.clear();
    scopes_.push_back(outer.front());
    scopes_.emplace_back();
    const size_t required = macro.targets.size() - macro.defaults.size();
    for (size_t i = 0; i < macro.targets.size(); ++i) {
      Value value = arguments.Get(i, macro.targets[i]);
      if (!value.defined() && i >= required) {
        value = Evaluate(macro.defaults[i - required]);
      }
      scopes_.back()[macro.targets[i]] = value;
    }
    std::string text = ok() ? Captured(macro.body) : std::string();
    scopes_ = std::move(outer);
    --calls_;
    return Of(std::move(text));
  }

  std::string file_;
  std::vector<std::map<std::string, Value>> scopes_;
  RenderedText out_;
  absl::Status status_;
  int64_t steps_ = 0;
  int captures_ = 0;
  int calls_ = 0;
};

}  // namespace
}  // namespace jinja

absl::StatusOr<JinjaTemplate> JinjaTemplate::Parse(absl::string_view text, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(jinja::ParsedTemplate parsed, jinja::ParseTemplate(text, file));
  JinjaTemplate result;
  result.file_ = std::string(file);
  result.marks_generation_ = parsed.marks_generation;
  result.body_ = std::make_shared<const jinja::Block>(std::move(parsed.body));
  return result;
}

absl::StatusOr<RenderedText> JinjaTemplate::Render(const nlohmann::ordered_json& variables) const {
  return jinja::Run(file_, variables).All(*body_);
}

}  // namespace wattle::formats
