// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A SQLite connection and a prepared statement that return Status instead of result codes. One
// thread at a time for each connection.
#ifndef WATTLE_COORDINATOR_STORE_SQLITE_H_
#define WATTLE_COORDINATOR_STORE_SQLITE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <sqlite3.h>

namespace wattle::store {

// SQLite's last error on `database` as a Status: `attempted`, SQLite's message and the remedy.
// kAlreadyExists: primary key; kResourceExhausted: full disk or memory; kOutOfRange: too large a
// value; kUnavailable: busy; kPermissionDenied: read-only or cannot be opened; kDataLoss: damage,
// tables that are not the program's, and I/O errors.
absl::Status StatusOfDatabase(sqlite3* database, absl::string_view attempted);

class Statement {
 public:
  // Errors: those of StatusOfDatabase.
  static absl::StatusOr<Statement> Prepare(sqlite3* database, const std::string& sql);

  // Binds the values to ?1, ?2, … in order; Reset starts again at ?1. A value that cannot be bound
  // is an error of the next Step.
  Statement& Bind(int64_t value);
  Statement& Bind(double value);
  Statement& Bind(bool value) { return Bind(int64_t{value}); }
  Statement& Bind(absl::string_view text);
  Statement& BindBytes(absl::string_view bytes);

  // True: a row is ready to be read. False: there are no more rows. Errors: those of
  // StatusOfDatabase.
  absl::StatusOr<bool> Step();
  // Runs a statement that returns no rows: steps once and resets.
  absl::Status Run();
  void Reset();

  [[nodiscard]] int64_t Integer(int column) const;
  [[nodiscard]] double Real(int column) const;
  [[nodiscard]] std::string Bytes(int column) const;  // Also reads text.
  [[nodiscard]] bool IsNull(int column) const;

 private:
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  // Remembers the first binding that failed.
  Statement& Bound(int code, size_t size_bytes);

  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  int bound_ = 0;
  absl::Status bind_error_;
};

class Database {
 public:
  // Opens `path` with the flags of sqlite3_open_v2. vfs: SQLite's name of the file system; empty:
  // the machine's. Errors: those of StatusOfDatabase.
  static absl::StatusOr<Database> Open(const std::string& path, int flags,
                                       const std::string& vfs = "");

  [[nodiscard]] sqlite3* get() const { return database_.get(); }
  absl::Status Execute(const std::string& sql);
  absl::StatusOr<Statement> Prepare(const std::string& sql) const {
    return Statement::Prepare(database_.get(), sql);
  }
  // The first column of the only row of `sql`; 0 if there is no row or the value is NULL.
  [[nodiscard]] absl::StatusOr<int64_t> Integer(const std::string& sql) const;
  // Runs `body` between BEGIN IMMEDIATE and COMMIT; rolls back after an error, which is returned.
  absl::Status InTransaction(const std::function<absl::Status()>& body);

 private:
  struct Closer {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  explicit Database(sqlite3* database) : database_(database) {}
  std::unique_ptr<sqlite3, Closer> database_;
};

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_SQLITE_H_
