internal import CLibPQ
import Report

/// One result of a statement, freed when it goes.
struct Answer: ~Copyable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }
    deinit { PQclear(pointer) }

    var status: ExecStatusType { PQresultStatus(pointer) }

    /// - Throws: ``UnexpectedAnswer`` for bytes that are no UTF-8 (a database in SQL_ASCII holds what it was given).
    func rows(node: String) throws -> Rows {
        let width = PQnfields(pointer)
        let columns = (0..<width).map { String(cString: PQfname(pointer, $0)) }
        let values = try (0..<PQntuples(pointer)).map { row in
            try (0..<width).map { column -> String? in
                guard PQgetisnull(pointer, row, column) == 0, let start = PQgetvalue(pointer, row, column) else { return nil }
                let bytes = UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(pointer, row, column)))
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw UnexpectedAnswer(node: node, text: "\(columns[Int(column)]) holds bytes that are not UTF-8")
                }
                return text
            }
        }
        return Rows(columns: columns, values: values, commandTag: String(cString: PQcmdStatus(pointer)), node: node)
    }
}

extension PostgresError.ServerError {
    /// The fields of an error or notice. Messages that libpq makes itself have no code.
    init(_ result: OpaquePointer, statement: String) {
        func field(_ name: Unicode.Scalar) -> String? {
            PQresultErrorField(result, Int32(name.value)).map { String(cString: $0) }
        }
        self.init(
            // V is never translated, and is missing before 9.6.
            severity: field("V") ?? field("S") ?? "", code: field("C") ?? "",
            message: field("M") ?? String(cString: PQresultErrorMessage(result)).trimmed,
            detail: field("D"), hint: field("H"), context: field("W"), statement: statement)
    }
}
