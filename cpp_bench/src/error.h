// The one exception of the library. api.cc turns it into a status and a message; nothing else may leave the library.
#pragma once

#include <stdexcept>
#include <string>

#include "acne_edge.h"

namespace acne_edge {

class Error : public std::runtime_error {
public:
    Error(acne_edge_status status, const std::string& message) : std::runtime_error(message), status_(status) {}
    acne_edge_status status() const { return status_; }

private:
    acne_edge_status status_;
};

}  // namespace acne_edge
