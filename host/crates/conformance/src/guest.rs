//! The list of hostile guests.

macro_rules! guests {
    ($($number:literal $name:ident $title:literal $summary:literal;)*) => {
        /// A kind of hostile guest. What it does and what is expected of the host is its scenario.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Guest {
            $(#[doc = $summary] $name,)*
        }

        impl Guest {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its number in the threat model.
            pub fn number(self) -> u32 {
                match self { $(Self::$name => $number,)* }
            }

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it does, in one line.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$name => $summary,)* }
            }
        }
    };
}

guests! {
    1 Loop "loop" "Loops in its handler.";
    2 StartLoop "start-loop" "Loops in its start function, before any call.";
    3 GlueLoop "glue-loop" "Loops in `cabi_realloc`, in the post-return, in a destructor.";
    4 Memory "memory" "Takes memory: by growth, in many memories, 4 GiB at once.";
    5 Tables "tables" "Takes table elements: by growth, ten million at once.";
    6 Recursion "recursion" "Calls itself for ever.";
    7 OutputFlood "output-flood" "Prints for ever, as fast as it can.";
    8 OutputDrip "output-drip" "Prints a little now and then, for ever.";
    9 HugeValues "huge-values" "Returns, fails with, and logs more than it may.";
    10 BadOutput "bad-output" "Returns what is no JSON, or is nested a hundred thousand deep.";
    11 Death "death" "Traps, panics, aborts, exits.";
    12 Handles "handles" "Takes files, sockets and other resources for ever.";
    13 Escape "escape" "Looks for a way out of its directory.";
    14 DiskFill "disk-fill" "Fills the disk.";
    15 Network "network" "Calls loopback, private and metadata addresses, in every spelling.";
    16 EndlessResponse "endless-response" "Has itself sent a response without end, drop by drop or compressed.";
    17 ManyRequests "many-requests" "Makes ten thousand requests at once.";
    18 Waiting "waiting" "Sleeps for ever, waits for what never comes, reads its stdin.";
    19 Spam "spam" "Makes small calls to the host, for ever.";
    20 Malformed "malformed" "Is malformed, cut off, no component, a gigabyte, or nested too deep.";
    21 CompileBomb "compile-bomb" "Takes the compiler minutes and gigabytes.";
    22 PoisonedCache "poisoned-cache" "Lies in the cache as compiled code that the host did not write.";
    23 WrongInterface "wrong-interface" "Imports what is not offered, lacks the export, has other types.";
    24 Lies "lies" "Says of itself what cannot be, or is not so.";
    25 Residue "residue" "Looks for what an earlier step left in memory.";
    26 ProgressFlood "progress-flood" "Reports progress a million times, and after its end.";
    27 Hog "hog" "Takes all the time that its batch has.";
    28 Killer "killer" "Kills the process that runs it.";
}

impl Guest {
    /// The guest with this number.
    pub fn numbered(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|guest| guest.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_are_numbered_from_1_to_28() {
        let numbers: Vec<u32> = Guest::ALL.iter().map(|guest| guest.number()).collect();
        assert_eq!(numbers, (1..=28).collect::<Vec<u32>>());
        assert_eq!(Guest::numbered(6), Some(Guest::Recursion));
        assert_eq!(Guest::numbered(29), None);
    }
}
