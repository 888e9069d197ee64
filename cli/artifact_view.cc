// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/artifact_view.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "proto/project_name.h"
#include "proto/quantization_recipe.h"
#include "units/format.h"

namespace wattle::cli {
namespace {

// How a job file can refer to this artifact.
std::string Reference(const v1::ArtifactInfo& artifact) {
  if (!artifact.name().empty()) {
    return artifact.name();
  }
  return artifact.job_id().empty() ? artifact.artifact_id().substr(0, 12)
                                   : absl::StrCat("job:", artifact.job_id(), "/output");
}

// All names, the latest one first. An artifact without a name is listed under the job that made it.
std::string Names(const v1::ArtifactInfo& artifact) {
  std::string names = Reference(artifact);
  for (const std::string& name : artifact.names()) {
    if (name != artifact.name()) {
      absl::StrAppend(&names, ", ", name);
    }
  }
  return names;
}

std::string ShortId(const v1::ArtifactInfo& artifact) {
  return artifact.artifact_id().substr(0, 12);
}

// The model that a quantized one was made from; its name if the list contains the model.
std::string ParentOf(const v1::ArtifactInfo& artifact, const v1::ListArtifactsResponse& artifacts) {
  for (const v1::ArtifactInfo& other : artifacts.artifacts()) {
    if (!artifact.parent_artifact_id().empty() &&
        other.artifact_id() == artifact.parent_artifact_id()) {
      return Reference(other);
    }
  }
  return artifact.parent_artifact_id().substr(0, 12);
}

// The change against the parent: "+0.31 %".
std::string QualityWords(const v1::ArtifactInfo& artifact) {
  return artifact.has_quality()
             ? absl::StrFormat("%+.2f %%", artifact.quality().perplexity_change_percent())
             : "";
}

std::string ExampleWords(const v1::DatasetStatistics& statistics) {
  std::string out = FormatCount(static_cast<double>(statistics.examples()));
  if (statistics.format() == "squad") {
    absl::StrAppend(&out, " (", FormatCount(static_cast<double>(statistics.answerable())),
                    " answerable)");
  }
  return out;
}

// Inserts the projects after the first cell if any project other than the default one occurs.
class ProjectColumn {
 public:
  explicit ProjectColumn(const v1::ListArtifactsResponse& artifacts)
      : shown_(std::any_of(
            artifacts.artifacts().begin(), artifacts.artifacts().end(),
            [](const v1::ArtifactInfo& artifact) { return artifact.projects_size() > 0; })) {}

  [[nodiscard]] std::vector<Column> AddTo(std::vector<Column> columns) const {
    if (shown_) {
      columns.insert(columns.begin() + 1, Column{"project"});
    }
    return columns;
  }
  [[nodiscard]] std::vector<std::string> AddTo(std::vector<std::string> cells,
                                               const v1::ArtifactInfo& artifact) const {
    if (shown_) {
      cells.insert(cells.begin() + 1, artifact.projects().empty()
                                          ? kDefaultProject
                                          : absl::StrJoin(artifact.projects(), ", "));
    }
    return cells;
  }

 private:
  const bool shown_;
};

// The quantization; for a model that is not quantized, the format of the matrices in its files.
std::string QuantizationWords(const v1::ArtifactInfo& artifact) {
  const std::string form =
      artifact.has_recipe() ? FormatName(artifact.recipe().matrices()) : "fp32";
  return artifact.quantization() == "none" && form != "fp32" ? absl::StrCat("none (", form, ")")
                                                             : artifact.quantization();
}

}  // namespace

std::string RenderModels(const v1::ListArtifactsResponse& artifacts, absl::Time now,
                         const TextStyle& style) {
  if (artifacts.artifacts().empty()) {
    return "no models; push one with: wattle model push NAME DIRECTORY\n";
  }
  const ProjectColumn projects(artifacts);
  Table table(projects.AddTo({{"model", Align::kLeft, true},
                              {"id"},
                              {"size", Align::kRight},
                              {"shape", Align::kLeft, true},
                              {"parameters", Align::kRight},
                              {"quantization"},
                              {"made from", Align::kLeft, false, true},
                              {"perplexity", Align::kRight},
                              {"made", Align::kLeft, false, true}}));
  for (const v1::ArtifactInfo& artifact : artifacts.artifacts()) {
    table.AddRow(
        projects.AddTo({Names(artifact), ShortId(artifact), FormatBytes(artifact.size_bytes()),
                        ModelShapeWords(artifact.model_shape()),
                        artifact.parameter_count() > 0
                            ? FormatCount(static_cast<double>(artifact.parameter_count()))
                            : "",
                        QuantizationWords(artifact), ParentOf(artifact, artifacts),
                        QualityWords(artifact), FormatAge(now, artifact.created_unix_seconds())},
                       artifact));
  }
  return table.Render(style);
}

std::string RenderDataSets(const v1::ListArtifactsResponse& artifacts, absl::Time now,
                           const TextStyle& style) {
  if (artifacts.artifacts().empty()) {
    return "no data sets; push one with: wattle data push NAME FILE\n";
  }
  const ProjectColumn projects(artifacts);
  Table table(projects.AddTo({{"data", Align::kLeft, true},
                              {"id"},
                              {"format"},
                              {"size", Align::kRight},
                              {"examples", Align::kRight},
                              {"mean bytes", Align::kRight},
                              {"made"}}));
  for (const v1::ArtifactInfo& artifact : artifacts.artifacts()) {
    const v1::DatasetStatistics& statistics = artifact.dataset();
    table.AddRow(projects.AddTo({Names(artifact), ShortId(artifact), statistics.format(),
                                 FormatBytes(artifact.size_bytes()), ExampleWords(statistics),
                                 FormatCount(statistics.mean_byte_length()),
                                 FormatAge(now, artifact.created_unix_seconds())},
                                artifact));
  }
  return table.Render(style);
}

std::string RenderReleases(const v1::ListArtifactsResponse& artifacts, absl::Time now,
                           const TextStyle& style) {
  if (artifacts.artifacts().empty()) {
    return "no releases; push one with: wattle release push DIRECTORY --version VERSION\n";
  }
  Table table({{"release", Align::kLeft, true},
               {"id"},
               {"version"},
               {"architecture"},
               {"size", Align::kRight},
               {"by"},
               {"pushed", Align::kLeft, false, true}});
  for (const v1::ArtifactInfo& artifact : artifacts.artifacts()) {
    table.AddRow({Names(artifact), ShortId(artifact), artifact.release_version(),
                  artifact.release_architecture(), FormatBytes(artifact.size_bytes()),
                  artifact.pushed_by(), FormatAge(now, artifact.created_unix_seconds())});
  }
  return table.Render(style);
}

std::string RenderRemoved(const v1::RemoveArtifactResponse& removed) {
  const std::string names = absl::StrJoin(removed.names(), ", ");
  const std::string id = removed.artifact_id().substr(0, 12);
  const std::string what = names.empty() ? id : absl::StrCat(names, " (", id, ")");
  return absl::StrCat(
      Printable(
          removed.artifact_removed()
              ? absl::StrCat("removed ", what, ", ", FormatBytes(removed.size_bytes()))
              : absl::StrCat("removed the name ", names, "; ", id, " stays under its other names")),
      "\n");
}

std::string RenderPushed(const v1::ArtifactInfo& artifact) {
  const char* const kind = artifact.kind() == v1::ARTIFACT_KIND_DATASET   ? "data "
                           : artifact.kind() == v1::ARTIFACT_KIND_RELEASE ? "release "
                                                                          : "model ";
  std::string out = absl::StrCat(kind, Reference(artifact), ": ", ShortId(artifact), ", ",
                                 FormatBytes(artifact.size_bytes()));
  if (artifact.has_dataset()) {
    absl::StrAppend(&out, ", ", artifact.dataset().format(), ", ", ExampleWords(artifact.dataset()),
                    " examples");
  }
  if (artifact.has_model_shape()) {
    absl::StrAppend(&out, ", ", ModelShapeWords(artifact.model_shape()), ", ",
                    FormatCount(static_cast<double>(artifact.parameter_count())), " parameters");
  }
  return absl::StrCat(Printable(out), "\n");
}

}  // namespace wattle::cli
