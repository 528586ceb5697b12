#include "mapped_file.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace acne_edge {

MappedFile::MappedFile(const std::string& path) {
    const auto fail = [&](int error) { throw std::system_error(error, std::generic_category(), path); };
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe is refused, not waited for
    if (file < 0) fail(errno);
    struct stat status{};
    int error = fstat(file, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : S_ISREG(status.st_mode) ? 0 : EINVAL;
    const auto size = static_cast<std::size_t>(status.st_size);
    if (error == 0 && size > 0) {  // nothing cannot be mapped
        void* start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
        if (start == MAP_FAILED) {
            error = errno;
        } else {
            start_.reset(static_cast<const std::uint8_t*>(start), [start, size](const std::uint8_t*) { munmap(start, size); });
            size_ = size;
        }
    }
    close(file);
    if (error != 0) fail(error);
}

}  // namespace acne_edge
