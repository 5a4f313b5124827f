// Strings to numbers: every distinct string gets the next number when it is first seen.
//
// A table of open addressing. A slot holds the upper half of the hash and number + 1 (0: empty), so
// that a string is looked at only where the halves agree, and the table grows without hashing
// anything again. Lookups go in blocks, each stage of which fetches what the next one reads: the
// table is far larger than the caches.
#include <stdint.h>
#include <string.h>

#include "export.h"

namespace {

struct Known {
    const uint8_t* start;
    int64_t length;
};

constexpr int64_t BLOCK = 64;

inline uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ (hash >> 29);
}

inline uint64_t hash_of(const uint8_t* start, int64_t length) {
    uint64_t hash = uint64_t(length) * 0xD6E8FEB86659FD93u, word;
    for (; length >= 8; start += 8, length -= 8) {
        memcpy(&word, start, 8);
        hash = mix(hash, word);
    }
    if (length) {
        word = 0;
        memcpy(&word, start, size_t(length));
        hash = mix(hash, word);
    }
    return mix(hash, 0xA0761D6478BD642Fu);
}

// The slot of a hash's upper half in a table of 2^bits, bits from 1 to 31
inline uint64_t slot_of(uint32_t half, int64_t bits) { return half >> (32 - bits); }

}  // namespace

// The numbers of n strings, string i being bytes[offsets[i] : offsets[i + 1]], of row first_row + i.
// slots: 2^bits; known: where each of the strings seen so far lies, row: where it was first seen,
// both with room for 2^bits / 2. state: the count of those, then how many of the n are done: fewer
// than n where the room is used up. The bytes must stay where they are from call to call.
EXPORT void finrec_code_strings(int64_t n, int64_t first_row, const int32_t* offsets,
                                const uint8_t* bytes, int64_t bits, uint64_t* slots, void* room,
                                int64_t* row, int32_t* codes, int64_t* state) {
    Known* known = static_cast<Known*>(room);
    const uint64_t last = (uint64_t(1) << bits) - 1;
    const int64_t most = int64_t(1) << (bits - 1);
    int64_t count = state[0], done = 0;
    uint32_t half[BLOCK];
    while (done < n && count + BLOCK <= most) {
        const int64_t size = n - done < BLOCK ? n - done : BLOCK;
        for (int64_t i = 0; i < size; ++i) {
            const int32_t* at = offsets + done + i;
            half[i] = uint32_t(hash_of(bytes + at[0], at[1] - at[0]) >> 32);
            __builtin_prefetch(slots + slot_of(half[i], bits));
        }
        for (int64_t i = 0; i < size; ++i) {
            const uint64_t slot = slots[slot_of(half[i], bits)];
            if (slot) __builtin_prefetch(known + (uint32_t(slot) - 1));
        }
        for (int64_t i = 0; i < size; ++i) {
            const uint64_t slot = slots[slot_of(half[i], bits)];
            if (slot) __builtin_prefetch(known[uint32_t(slot) - 1].start);
        }
        for (int64_t i = 0; i < size; ++i) {
            const int32_t* at = offsets + done + i;
            const uint8_t* start = bytes + at[0];
            const int64_t length = at[1] - at[0];
            for (uint64_t place = slot_of(half[i], bits);; place = (place + 1) & last) {
                const uint64_t slot = slots[place];
                if (!slot) {
                    slots[place] = uint64_t(half[i]) << 32 | uint64_t(count + 1);
                    known[count] = {start, length};
                    row[count] = first_row + done + i;
                    codes[done + i] = int32_t(count++);
                    break;
                }
                if (uint32_t(slot >> 32) != half[i]) continue;
                const Known& one = known[uint32_t(slot) - 1];
                if (one.length == length && !memcmp(one.start, start, size_t(length))) {
                    codes[done + i] = int32_t(uint32_t(slot) - 1);
                    break;
                }
            }
        }
        done += size;
    }
    state[0] = count;
    state[1] = done;
}

// The same slots in a table of 2^bits that is empty, from one of 2^old_bits.
EXPORT void finrec_move_slots(int64_t old_bits, const uint64_t* old_slots, int64_t bits,
                              uint64_t* slots) {
    const uint64_t last = (uint64_t(1) << bits) - 1;
    for (uint64_t i = 0; i < uint64_t(1) << old_bits; ++i) {
        if (!old_slots[i]) continue;
        uint64_t place = slot_of(uint32_t(old_slots[i] >> 32), bits);
        while (slots[place]) place = (place + 1) & last;
        slots[place] = old_slots[i];
    }
}
