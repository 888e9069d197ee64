// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/job_file.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "base/file.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "formats/field_names_internal.h"
#include "formats/job_document_internal.h"
#include "formats/json.h"
#include "formats/number_field_internal.h"
#include "formats/yaml_node.h"

namespace wattle::formats {
namespace {

namespace pb = google::protobuf;

constexpr int64_t kFileBytesMax = 1 << 20;  // A longer list of prompts belongs in a data set.
constexpr int kDocumentsMax = 1000;

// The field that a message's short form sets: "apart: folds" for "apart: {group: folds}". Null: the
// message has no short form.
const pb::FieldDescriptor* ShortForm(const pb::Descriptor* message) {
  return message == v1::Apart::descriptor() ? message->FindFieldByName("group") : nullptr;
}

// Reads one document into one message.
class DocumentReader {
 public:
  DocumentReader(absl::string_view file, const pb::Descriptor* root) : file_(file), root_(root) {}

  absl::Status ReadMessage(const YAML::Node& node, absl::string_view path, pb::Message& message);

  absl::Status Error(const YAML::Mark& mark, absl::string_view field,
                     absl::string_view what) const {
    return absl::InvalidArgumentError(Text(mark, field, what));
  }

 private:
  [[nodiscard]] std::string Text(const YAML::Mark& mark, absl::string_view field,
                                 absl::string_view what) const {
    return absl::StrCat(PlaceOf(mark, file_), field, field.empty() ? "" : ": ", what);
  }
  absl::Status UnknownField(const YAML::Mark& mark, const std::string& name,
                            const pb::Descriptor* descriptor) const;
  absl::Status ReadField(const YAML::Node& node, absl::string_view path,
                         const pb::FieldDescriptor* field, pb::Message& message);
  absl::Status ReadInner(const YAML::Node& node, absl::string_view path,
                         const pb::FieldDescriptor* field, pb::Message& inner);
  absl::Status ReadList(const YAML::Node& node, absl::string_view path,
                        const pb::FieldDescriptor* field, pb::Message& message);
  absl::Status ReadEntries(const YAML::Node& node, absl::string_view path,
                           const pb::FieldDescriptor* field, pb::Message& message);
  absl::Status ReadScalar(const YAML::Node& node, const pb::FieldDescriptor* field,
                          pb::Message& message) const;
  absl::Status ReadText(const YAML::Node& node, const pb::FieldDescriptor* field,
                        pb::Message& message) const;
  absl::Status ReadFlag(const YAML::Node& node, const pb::FieldDescriptor* field,
                        pb::Message& message) const;
  absl::Status ReadEnum(const YAML::Node& node, const pb::FieldDescriptor* field,
                        pb::Message& message) const;

  absl::string_view file_;
  const pb::Descriptor* root_;
};

absl::string_view NodeKind(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Map:
      return "fields";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Scalar:
      return "a single value";
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined:
      break;
  }
  return "nothing";
}

bool IsQuoted(const YAML::Node& node) {
  return node.Tag() == "!";
}

absl::Status DocumentReader::UnknownField(const YAML::Mark& mark, const std::string& name,
                                          const pb::Descriptor* descriptor) const {
  if (HasComingFields(root_) && IsComingField(name)) {
    return absl::UnimplementedError(
        Text(mark, name, "not supported in this version; remove the line"));
  }
  if (name == kSweepField && root_ == v1::JobSpec::descriptor()) {
    return Error(mark, name,
                 descriptor == root_
                     ? "makes several jobs, and one is wanted here; wattle submit and wattle plan "
                       "take such a file"
                     : "unknown field; it belongs at the top level");
  }
  return Error(mark, Printable(name),
               absl::StrCat("unknown field; ", FieldAdvice(name, descriptor, root_)));
}

absl::Status DocumentReader::ReadMessage(const YAML::Node& node, absl::string_view path,
                                         pb::Message& message) {
  if (!node.IsMap()) {
    return Error(node.Mark(), path,
                 absl::StrCat("wants fields (name: value), found ", NodeKind(node)));
  }
  const pb::Descriptor* descriptor = message.GetDescriptor();
  const pb::Reflection* reflection = message.GetReflection();
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const YAML::Node& key = entry.first;
    if (!key.IsScalar()) {
      return Error(key.Mark(), path,
                   absl::StrCat("a field's name is ", NodeKind(key), ", wants text"));
    }
    const std::string& name = key.Scalar();
    const pb::FieldDescriptor* field = descriptor->FindFieldByName(name);
    if (field == nullptr) {
      return UnknownField(key.Mark(), name, descriptor);
    }
    if (!seen.insert(name).second) {
      return Error(key.Mark(), name, "stands twice; remove one");
    }
    if (const pb::OneofDescriptor* oneof = field->real_containing_oneof();
        oneof != nullptr && reflection->HasOneof(message, oneof)) {
      return Error(key.Mark(), name,
                   absl::StrCat("stands beside ",
                                reflection->GetOneofFieldDescriptor(message, oneof)->name(),
                                "; a file has one ", oneof->name(), ", remove one"));
    }
    if (entry.second.IsNull() || !entry.second.IsDefined()) {
      return Error(key.Mark(), name, "has no value; give one or remove the line");
    }
    WATTLE_RETURN_IF_ERROR(ReadField(entry.second, name, field, message));
  }
  for (int i = 0; i < descriptor->field_count(); ++i) {
    if (const pb::FieldDescriptor* field = descriptor->field(i);
        field->is_required() && !reflection->HasField(message, field)) {
      const v1::FieldForm& form = FormOf(field);
      return Error(node.Mark(), field->name(),
                   absl::StrCat("missing; wanted ", form.has_wanted() ? form.wanted() : "a value"));
    }
  }
  return absl::OkStatus();
}

absl::Status DocumentReader::ReadField(const YAML::Node& node, absl::string_view path,
                                       const pb::FieldDescriptor* field, pb::Message& message) {
  const bool is_message = field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
  const pb::Reflection* reflection = message.GetReflection();
  if (const pb::FieldDescriptor* const only =
          is_message && node.IsScalar() ? ShortForm(field->message_type()) : nullptr;
      only != nullptr) {
    return ReadScalar(node, only, *reflection->MutableMessage(&message, field));
  }
  if (field->is_repeated()) {
    return FormOf(field).entries() ? ReadEntries(node, path, field, message)
                                   : ReadList(node, path, field, message);
  }
  return is_message ? ReadInner(node, path, field, *reflection->MutableMessage(&message, field))
                    : ReadScalar(node, field, message);
}

// A message within another one.
absl::Status DocumentReader::ReadInner(const YAML::Node& node, absl::string_view path,
                                       const pb::FieldDescriptor* field, pb::Message& inner) {
  return FormOf(field).document()
             ? DocumentReader(file_, field->message_type()).ReadMessage(node, path, inner)
             : ReadMessage(node, path, inner);
}

absl::Status DocumentReader::ReadList(const YAML::Node& node, absl::string_view path,
                                      const pb::FieldDescriptor* field, pb::Message& message) {
  const pb::Reflection* reflection = message.GetReflection();
  if (FormOf(field).words() && node.IsScalar()) {
    for (const absl::string_view word : absl::StrSplit(node.Scalar(), ',')) {
      reflection->AddString(&message, field, std::string(word));
    }
    return absl::OkStatus();
  }
  if (!node.IsSequence()) {
    return Error(node.Mark(), path,
                 absl::StrCat("wants a list, found ", NodeKind(node), "; write [...]"));
  }
  // Without an entry it would mean: open at all times.
  if (node.size() == 0 && absl::EndsWith(field->name(), "windows")) {
    return Error(node.Mark(), path, "is an empty list; give a window or remove the line");
  }
  for (const YAML::Node& element : node) {
    WATTLE_RETURN_IF_ERROR(
        field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE
            ? ReadInner(element, path, field, *reflection->AddMessage(&message, field))
            : ReadScalar(element, field, message));
  }
  return absl::OkStatus();
}

// "{key: value, ...}" as a list of messages with a key and a value.
absl::Status DocumentReader::ReadEntries(const YAML::Node& node, absl::string_view path,
                                         const pb::FieldDescriptor* field, pb::Message& message) {
  if (!node.IsMap()) {
    return Error(node.Mark(), path,
                 absl::StrCat("wants fields (name: value), found ", NodeKind(node)));
  }
  const pb::Descriptor* entry_type = field->message_type();
  std::set<std::string> seen;
  for (const auto& entry : node) {
    pb::Message& added = *message.GetReflection()->AddMessage(&message, field);
    WATTLE_RETURN_IF_ERROR(ReadScalar(entry.first, entry_type->field(0), added));
    const std::string& key = entry.first.Scalar();
    if (!seen.insert(key).second) {
      return Error(entry.first.Mark(), Printable(key), "stands twice; remove one");
    }
    WATTLE_RETURN_IF_ERROR(ReadField(entry.second, key, entry_type->field(1), added));
  }
  return absl::OkStatus();
}

absl::Status DocumentReader::ReadScalar(const YAML::Node& node, const pb::FieldDescriptor* field,
                                        pb::Message& message) const {
  if (!node.IsScalar()) {
    return Error(node.Mark(), field->name(),
                 absl::StrCat("wants a single value, found ", NodeKind(node)));
  }
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return ReadText(node, field, message);
    case pb::FieldDescriptor::CPPTYPE_ENUM:
      return ReadEnum(node, field, message);
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return ReadFlag(node, field, message);
    case pb::FieldDescriptor::CPPTYPE_INT32:
    case pb::FieldDescriptor::CPPTYPE_INT64:
    case pb::FieldDescriptor::CPPTYPE_UINT32:
    case pb::FieldDescriptor::CPPTYPE_UINT64:
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      if (const std::string wrong = StoreNumber(node.Scalar(), IsQuoted(node), field, message);
          !wrong.empty()) {
        return Error(node.Mark(), field->name(), wrong);
      }
      return absl::OkStatus();
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      break;  // Handled by ReadField.
  }
  return absl::InternalError(absl::StrCat(field->full_name(), ": a message is not a single value"));
}

absl::Status DocumentReader::ReadText(const YAML::Node& node, const pb::FieldDescriptor* field,
                                      pb::Message& message) const {
  const std::string& text = node.Scalar();
  if (ValidUtf8Prefix(text) != text.size()) {
    return Error(node.Mark(), field->name(), "is not UTF-8; save the file as UTF-8");
  }
  const pb::Reflection* reflection = message.GetReflection();
  if (field->is_repeated()) {
    reflection->AddString(&message, field, text);
  } else {
    reflection->SetString(&message, field, text);
  }
  return absl::OkStatus();
}

absl::Status DocumentReader::ReadFlag(const YAML::Node& node, const pb::FieldDescriptor* field,
                                      pb::Message& message) const {
  const std::string& text = node.Scalar();
  if (IsQuoted(node) || (text != "true" && text != "false")) {
    return Error(node.Mark(), field->name(),
                 absl::StrCat("wants true or false, found \"", Printable(text), "\""));
  }
  message.GetReflection()->SetBool(&message, field, text == "true");
  return absl::OkStatus();
}

absl::Status DocumentReader::ReadEnum(const YAML::Node& node, const pb::FieldDescriptor* field,
                                      pb::Message& message) const {
  const std::string& text = node.Scalar();
  const pb::EnumDescriptor* type = field->enum_type();
  const std::string prefix(absl::StripSuffix(type->value(0)->name(), "UNSPECIFIED"));
  std::vector<std::string> names;
  for (int i = 1; i < type->value_count(); ++i) {
    names.push_back(absl::AsciiStrToLower(absl::StripPrefix(type->value(i)->name(), prefix)));
    if (names.back() == text) {
      const pb::Reflection* reflection = message.GetReflection();
      if (field->is_repeated()) {
        reflection->AddEnum(&message, field, type->value(i));
      } else {
        reflection->SetEnum(&message, field, type->value(i));
      }
      return absl::OkStatus();
    }
  }
  const std::string choices = absl::StrJoin(names, ", ");
  return Error(node.Mark(), field->name(),
               absl::StrCat("\"", Printable(text), "\" is unknown; write one of: ", choices));
}

// Reads a stream without building nodes, to find damage before LoadAll reads it. At some damage (a
// ',' outside brackets) yaml-cpp 0.7 does not advance: it returns empty documents without end, and
// LoadAll would keep them all.
class DocumentCounter : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { last = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnAlias(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {}
  void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/,
                       YAML::anchor_t /*anchor*/, YAML::EmitterStyle::value /*style*/) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {}
  void OnMapEnd() override {}

  YAML::Mark last;
};

std::vector<YAML::Node> LoadAllBounded(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentCounter counter;
  int documents = 0;
  while (parser.HandleNextDocument(counter)) {
    if (++documents > kDocumentsMax) {
      throw YAML::ParserException(counter.last,
                                  "text that belongs to nothing, or too many documents");
    }
  }
  return YAML::LoadAll(text);
}

// The documents of a file. No exception of yaml-cpp leaves this function.
absl::StatusOr<std::vector<YAML::Node>> LoadDocuments(absl::string_view text,
                                                      absl::string_view file) {
  if (const size_t valid = ValidUtf8Prefix(text); valid != text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": not UTF-8 at byte ", valid, "; save the file as UTF-8"));
  }
  std::vector<YAML::Node> documents;
  try {
    documents = LoadAllBounded(std::string(text));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":", std::max(error.mark.line, 0) + 1, ":",
                                                   std::max(error.mark.column, 0) + 1,
                                                   ": not valid YAML: ", Printable(error.msg)));
  }
  if (documents.empty() || (documents.size() == 1 && documents[0].IsNull())) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": is empty; see the examples in deploy/examples"));
  }
  return documents;
}

// Reads one document. An exception of yaml-cpp while a node is read also means a damaged document.
absl::Status ReadDocument(const YAML::Node& document, absl::string_view file,
                          pb::Message& message) {
  try {
    DocumentReader reader(file, message.GetDescriptor());
    return reader.ReadMessage(document, "", message);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":", std::max(error.mark.line, 0) + 1,
                                                   ": not valid YAML: ", Printable(error.msg)));
  }
}

std::string KindNames() {
  std::vector<std::string> names;
  const pb::OneofDescriptor* kinds = v1::JobSpec::descriptor()->FindOneofByName("kind");
  names.reserve(static_cast<size_t>(kinds->field_count()));
  for (int i = 0; i < kinds->field_count(); ++i) {
    names.push_back(kinds->field(i)->name());
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace

std::string PlaceOf(const YAML::Mark& mark, absl::string_view file) {
  return mark.is_null() ? absl::StrCat(file, " with the changes of the command line: ")
                        : absl::StrCat(file, ":", mark.line + 1, ": ");
}

absl::StatusOr<YAML::Node> ParseYaml(absl::string_view text, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<YAML::Node> documents, LoadDocuments(text, file));
  if (documents.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": has ", documents.size(),
                                                   " documents; wanted one, split it at \"---\""));
  }
  return documents[0];
}

absl::Status ReadMessage(const YAML::Node& node, absl::string_view file, pb::Message& message) {
  return ReadDocument(node, file, message);
}

absl::StatusOr<YAML::Node> LoadJobDocument(absl::string_view text, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<YAML::Node> documents, LoadDocuments(text, file));
  if (documents.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": has ", documents.size(), " documents; a job file has one, split it at \"---\""));
  }
  return documents[0];
}

absl::StatusOr<v1::JobSpec> ReadJobDocument(const YAML::Node& document, absl::string_view file) {
  v1::JobSpec spec;
  WATTLE_RETURN_IF_ERROR(ReadDocument(document, file, spec));
  if (spec.kind_case() == v1::JobSpec::KIND_NOT_SET) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": kind of job missing; add one of these sections: ", KindNames()));
  }
  return spec;
}

absl::StatusOr<v1::JobSpec> ParseJobFile(absl::string_view text, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const YAML::Node document, LoadJobDocument(text, file));
  return ReadJobDocument(document, file);
}

absl::StatusOr<std::string> ReadJobText(const std::string& path) {
  return ReadWholeFile(path, kFileBytesMax);
}

absl::StatusOr<v1::JobSpec> ReadJobFile(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadJobText(path));
  return ParseJobFile(text, path);
}

absl::StatusOr<std::vector<v1::Policy>> ParsePolicyFile(absl::string_view text,
                                                        absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<YAML::Node> documents, LoadDocuments(text, file));
  std::vector<v1::Policy> policies;
  std::set<std::string> names;
  for (const YAML::Node& document : documents) {
    v1::Policy policy;
    WATTLE_RETURN_IF_ERROR(ReadDocument(document, file, policy));
    const int line = std::max(document.Mark().line, 0) + 1;
    if (policy.name().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          file, ":", line, ": name: missing; a policy needs one, so that it can be replaced"));
    }
    if (!names.insert(policy.name()).second) {
      return absl::InvalidArgumentError(absl::StrCat(file, ":", line,
                                                     ": name: ", Printable(policy.name()),
                                                     " names two policies; rename one"));
    }
    policies.push_back(std::move(policy));
  }
  return policies;
}

absl::StatusOr<std::vector<v1::Policy>> ReadPolicyFile(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kFileBytesMax));
  return ParsePolicyFile(text, path);
}

}  // namespace wattle::formats
