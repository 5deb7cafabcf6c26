//! From ten columns of votes to a label.

use super::{FER_PLUS_CLASSES, FerPlusConfig, FerPlusLabel, Ties};
use crate::{Result, rows::Row};

/// The columns of votes, in the order of the files.
pub(super) const COLUMNS: [&str; 10] =
    ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"];

const N_CLASSES: usize = FER_PLUS_CLASSES.len();

/// What the votes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Class(u32),
    Unknown,
    NotAFace,
    NoVotes,
    NoMajority,
    Tied,
}

/// The votes in the fields of `row` from `first` on.
pub(super) fn votes(row: &Row<'_>, first: usize) -> Result<[u32; 10]> {
    let mut votes = [0; 10];
    for (i, vote) in votes.iter_mut().enumerate() {
        *vote = row.number(first + i, || format!("the number of votes for {}", COLUMNS[i]))?;
    }
    Ok(votes)
}

pub(super) fn verdict(votes: &[u32; 10], config: &FerPlusConfig) -> Verdict {
    match config.label {
        FerPlusLabel::ArgMax => most(votes, config.ties),
        FerPlusLabel::EmotionArgMax => most(&votes[..N_CLASSES], config.ties),
        FerPlusLabel::Majority => {
            let votes = votes.map(|n| if n > 1 { u64::from(n) } else { 0 });
            let sum: u64 = votes.iter().sum();
            // At most one column can have more than half.
            votes.iter().position(|&n| 2 * n > sum).map_or(Verdict::NoMajority, of_column)
        }
    }
}

/// The column with most votes.
fn most(votes: &[u32], ties: Ties) -> Verdict {
    let most = votes.iter().copied().max().unwrap_or(0);
    let mut winners = votes.iter().enumerate().filter(|(_, n)| **n == most).map(|(i, _)| i);
    match (winners.next(), winners.next()) {
        (None, _) => Verdict::NoVotes,
        _ if most == 0 => Verdict::NoVotes,
        (_, Some(_)) if ties == Ties::Drop => Verdict::Tied,
        (Some(first), _) => of_column(first),
    }
}

fn of_column(column: usize) -> Verdict {
    match column {
        0..N_CLASSES => Verdict::Class(column as u32),
        N_CLASSES => Verdict::Unknown,
        _ => Verdict::NotAFace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts of arg-max, arg-max of the classes, majority; each with the first of ties and without ties.
    fn verdicts(votes: [u32; 10]) -> [Verdict; 6] {
        let labels = [FerPlusLabel::ArgMax, FerPlusLabel::EmotionArgMax, FerPlusLabel::Majority];
        let mut verdicts = [Verdict::NoVotes; 6];
        for (i, label) in labels.into_iter().enumerate() {
            for (j, ties) in [Ties::First, Ties::Drop].into_iter().enumerate() {
                verdicts[2 * i + j] = verdict(&votes, &FerPlusConfig { label, ties });
            }
        }
        verdicts
    }

    #[test]
    fn the_policies_decide_as_worked_out_by_hand() {
        use Verdict::*;
        let twice = |a, b, c| [a, a, b, b, c, c];
        // A clear winner.
        assert_eq!(verdicts([0, 9, 1, 0, 0, 0, 0, 0, 0, 0]), twice(Class(1), Class(1), Class(1)));
        // Most votes, but half of what counts: the single votes do not.
        assert_eq!(verdicts([4, 0, 0, 2, 0, 2, 0, 1, 1, 0]), twice(Class(0), Class(0), NoMajority));
        // 4 of 7 once the single votes are gone, 4 of 10 before.
        assert_eq!(verdicts([4, 0, 0, 3, 0, 1, 0, 1, 1, 0]), twice(Class(0), Class(0), Class(0)));
        // Unknown and no face win over all, not among the classes.
        assert_eq!(verdicts([0, 0, 0, 3, 0, 0, 0, 1, 6, 0]), twice(Unknown, Class(3), Unknown));
        assert_eq!(verdicts([0, 0, 0, 0, 0, 0, 0, 1, 0, 9]), twice(NotAFace, Class(7), NotAFace));
        // Nobody saw a class, or voted.
        assert_eq!(verdicts([0, 0, 0, 0, 0, 0, 0, 0, 3, 7]), twice(NotAFace, NoVotes, NotAFace));
        assert_eq!(verdicts([0; 10]), twice(NoVotes, NoVotes, NoMajority));
        // Single votes alone.
        assert_eq!(verdicts([0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), twice(Class(2), Class(2), NoMajority));
    }

    #[test]
    fn ties_go_to_the_first_or_are_dropped() {
        use Verdict::*;
        assert_eq!(verdicts([0, 5, 0, 0, 0, 0, 5, 0, 0, 0]), [Class(1), Tied, Class(1), Tied, NoMajority, NoMajority]);
        // A tie with unknown is one among ten columns only, and the class comes first.
        assert_eq!(
            verdicts([0, 0, 0, 0, 5, 0, 0, 0, 5, 0]),
            [Class(4), Tied, Class(4), Class(4), NoMajority, NoMajority]
        );
        assert_eq!(verdicts([2, 2, 0, 0, 0, 0, 0, 0, 0, 6])[..4], [NotAFace, NotAFace, Class(0), Tied]);
    }

    #[test]
    fn votes_cannot_overflow() {
        assert_eq!(verdicts([u32::MAX; 10])[4], Verdict::NoMajority);
    }
}
