// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/sqlite.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "base/utf8.h"

namespace wattle::store {
namespace {

constexpr int kBusyMilliseconds = 5000;

}  // namespace

absl::Status StatusOfDatabase(sqlite3* database, absl::string_view attempted) {
  const int extended = sqlite3_extended_errcode(database);
  const std::string message = absl::StrCat(attempted, ": ", OneLine(sqlite3_errmsg(database)));
  if (extended == SQLITE_CONSTRAINT_PRIMARYKEY || extended == SQLITE_CONSTRAINT_ROWID) {
    return absl::AlreadyExistsError(message);
  }
  switch (extended & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(absl::StrCat(
          message, "; free space on the disk and start again, nothing was half-written"));
    case SQLITE_IOERR:
      return absl::DataLossError(
          absl::StrCat(message, "; check the disk's health, quota and limit on file sizes"));
    case SQLITE_TOOBIG:
      return absl::OutOfRangeError(
          absl::StrCat(message, "; the largest value that SQLite stores is ",
                       sqlite3_limit(database, SQLITE_LIMIT_LENGTH, -1), " bytes"));
    case SQLITE_NOMEM:
      return absl::ResourceExhaustedError(absl::StrCat(message, "; free memory and start again"));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(absl::StrCat(message, "; another program holds it"));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return absl::PermissionDeniedError(
          absl::StrCat(message, "; check that the directory exists and may be written"));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    // Every statement's text is the program's own and tested, so this error means a file whose
    // tables, version or rows the program did not write.
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
      return absl::DataLossError(absl::StrCat(message, "; restore a backup"));
    default:
      return absl::InternalError(message);
  }
}

absl::StatusOr<Statement> Statement::Prepare(sqlite3* database, const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    return StatusOfDatabase(database, "journal");
  }
  return Statement(statement);
}

Statement& Statement::Bound(int code, size_t size_bytes) {
  if (code != SQLITE_OK && bind_error_.ok()) {
    bind_error_ = StatusOfDatabase(
        sqlite3_db_handle(statement_.get()),
        absl::StrCat("journal: value ", bound_, " of a statement (", size_bytes, " bytes)"));
    if (bind_error_.ok()) {
      bind_error_ = absl::InternalError(absl::StrCat("journal: value ", bound_, ": error ", code));
    }
  }
  return *this;
}

Statement& Statement::Bind(int64_t value) {
  const int code = sqlite3_bind_int64(statement_.get(), ++bound_, value);
  return Bound(code, sizeof(value));
}

Statement& Statement::Bind(double value) {
  const int code = sqlite3_bind_double(statement_.get(), ++bound_, value);
  return Bound(code, sizeof(value));
}

Statement& Statement::Bind(absl::string_view text) {
  const int code = sqlite3_bind_text64(statement_.get(), ++bound_, text.data(), text.size(),
                                       SQLITE_TRANSIENT, SQLITE_UTF8);
  return Bound(code, text.size());
}

Statement& Statement::BindBytes(absl::string_view bytes) {
  const int code =
      sqlite3_bind_blob64(statement_.get(), ++bound_, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  return Bound(code, bytes.size());
}

absl::StatusOr<bool> Statement::Step() {
  if (!bind_error_.ok()) {
    return bind_error_;
  }
  switch (sqlite3_step(statement_.get())) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return StatusOfDatabase(sqlite3_db_handle(statement_.get()), "journal");
  }
}

absl::Status Statement::Run() {
  const absl::StatusOr<bool> row = Step();
  Reset();
  return row.status();
}

void Statement::Reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
  bound_ = 0;
  bind_error_ = absl::OkStatus();
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int64_t Statement::Integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double Statement::Real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

std::string Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr ? std::string()
                         : std::string(static_cast<const char*>(data), static_cast<size_t>(size));
}

absl::StatusOr<Database> Database::Open(const std::string& path, int flags,
                                        const std::string& vfs) {
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
  Database database(handle);  // SQLite gives a handle to close even after an error.
  if (code != SQLITE_OK) {
    return StatusOfDatabase(handle, path);
  }
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  return database;
}

absl::Status Database::Execute(const std::string& sql) {
  if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return StatusOfDatabase(database_.get(), "journal");
  }
  return absl::OkStatus();
}

absl::Status Database::InTransaction(const std::function<absl::Status()>& body) {
  WATTLE_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  absl::Status status = body();
  if (status.ok()) {
    status = Execute("COMMIT");
  }
  if (!status.ok()) {
    // After some errors SQLite has rolled back already. ROLLBACK then fails, which is harmless.
    (void)Execute("ROLLBACK");
  }
  return status;
}

absl::StatusOr<int64_t> Database::Integer(const std::string& sql) const {
  WATTLE_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  WATTLE_ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Integer(0) : 0;
}

}  // namespace wattle::store
