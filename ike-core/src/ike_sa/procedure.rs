//! What is under way on an IKE SA, and what becomes of a request of the peer that meets it. Both ends
//! may begin something at any moment, so every pair of procedures can meet; what happens then is decided
//! here and nowhere else (RFC 7296 §2.8.1, §2.8.2, §2.25, RFC 9370 §2.2.4). A procedure with an additional key
//! exchange has two requests; the same is decided when the second one comes.

use esp_engine::sa::Spi;

use crate::child_sa::Stage;

/// What our own request that waits for its answer does.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Ours {
    /// There is none, or it changes nothing.
    Nothing,
    /// It makes a new pair of Child SAs.
    CreatingChild,
    /// It makes a successor of this pair, by the SPI that we chose.
    RekeyingChild(Spi),
    /// It is the second one for a successor of this pair (IKE_FOLLOWUP_KE).
    CompletingChild(Spi),
    /// It deletes Child SAs; their stage says which.
    DeletingChildren,
    /// It makes a successor of the IKE SA.
    RekeyingIkeSa,
    /// It is the second one for a successor of the IKE SA.
    CompletingIkeSa,
    /// A successor of the IKE SA stands already, and this one is on its way out.
    Succeeded,
    /// It deletes the IKE SA, or will as soon as the one before it is answered.
    ClosingIkeSa,
}

/// What the peer asks.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Theirs {
    /// A new pair of Child SAs.
    CreateChild,
    /// A successor of a pair that we know, or do not.
    RekeyChild(Option<(Spi, Stage)>),
    /// The end of a pair at this stage.
    DeleteChild(Stage),
    /// A successor of the IKE SA.
    RekeyIkeSa,
    /// The end of the IKE SA.
    DeleteIkeSa,
}

/// What it gets.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Verdict {
    /// What it asks.
    Normal,
    /// What it asks, though we asked for the same: the lowest of the four nonces decides which of the
    /// two successors goes again.
    Rival,
    /// TEMPORARY_FAILURE.
    NotNow,
    /// CHILD_SA_NOT_FOUND.
    NotFound,
    /// An answer that does not mention it: our own Delete crossed the peer's.
    Crossed,
}

/// Decides.
pub(crate) const fn decide(ours: Ours, theirs: Theirs) -> Verdict {
    match (ours, theirs) {
        (_, Theirs::DeleteIkeSa) => Verdict::Normal,
        (_, Theirs::DeleteChild(Stage::Deleting)) => Verdict::Crossed,
        (_, Theirs::DeleteChild(_)) => Verdict::Normal,
        (Ours::ClosingIkeSa | Ours::Succeeded, _) => Verdict::NotNow,
        (Ours::RekeyingIkeSa, Theirs::RekeyIkeSa) => Verdict::Rival,
        (Ours::RekeyingIkeSa | Ours::CompletingIkeSa, _) => Verdict::NotNow,
        (
            Ours::CreatingChild | Ours::RekeyingChild(_) | Ours::CompletingChild(_) | Ours::DeletingChildren,
            Theirs::RekeyIkeSa,
        ) => Verdict::NotNow,
        (Ours::Nothing, Theirs::RekeyIkeSa) => Verdict::Normal,
        (_, Theirs::CreateChild) => Verdict::Normal,
        // It may name what our request made there and whose answer has not come.
        (
            Ours::CreatingChild | Ours::RekeyingChild(_) | Ours::CompletingChild(_),
            Theirs::RekeyChild(None),
        ) => Verdict::NotNow,
        (_, Theirs::RekeyChild(None | Some((_, Stage::Reserved | Stage::Draining(_) | Stage::Removed)))) => {
            Verdict::NotFound
        }
        (_, Theirs::RekeyChild(Some((_, Stage::DeleteOwed | Stage::Deleting | Stage::Replaced)))) => {
            Verdict::NotNow
        }
        (Ours::RekeyingChild(own), Theirs::RekeyChild(Some((spi, Stage::Live)))) => {
            if own.get() == spi.get() { Verdict::Rival } else { Verdict::Normal }
        }
        // The nonces have decided, without this one (RFC 9370 §2.2.4).
        (Ours::CompletingChild(own), Theirs::RekeyChild(Some((spi, Stage::Live)))) => {
            if own.get() == spi.get() { Verdict::NotNow } else { Verdict::Normal }
        }
        (_, Theirs::RekeyChild(Some((_, Stage::Live)))) => Verdict::Normal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Option<Spi> = Spi::new(0x1000);
    const Y: Option<Spi> = Spi::new(0x2000);

    fn rekeying_x() -> Ours {
        Ours::RekeyingChild(X.expect("legal"))
    }

    fn rekey(spi: Option<Spi>, stage: Stage) -> Theirs {
        Theirs::RekeyChild(spi.map(|spi| (spi, stage)))
    }

    fn check(table: &[(Ours, Theirs, Verdict)]) {
        for (ours, theirs, verdict) in table {
            assert_eq!(decide(*ours, *theirs), *verdict, "{ours:?} x {theirs:?}");
        }
    }

    /// RFC 7296 §2.25.1: what meets a procedure about Child SAs.
    #[test]
    fn child_procedures() {
        check(&[
            (rekeying_x(), rekey(X, Stage::Live), Verdict::Rival),
            (rekeying_x(), rekey(X, Stage::Replaced), Verdict::NotNow),
            (rekeying_x(), rekey(Y, Stage::Live), Verdict::Normal),
            (rekeying_x(), rekey(None, Stage::Live), Verdict::NotNow),
            (Ours::CreatingChild, rekey(None, Stage::Live), Verdict::NotNow),
            (Ours::DeletingChildren, rekey(None, Stage::Live), Verdict::NotFound),
            (rekeying_x(), Theirs::DeleteChild(Stage::Live), Verdict::Normal),
            (rekeying_x(), Theirs::CreateChild, Verdict::Normal),
            (rekeying_x(), Theirs::RekeyIkeSa, Verdict::NotNow),
            (rekeying_x(), Theirs::DeleteIkeSa, Verdict::Normal),
            (Ours::DeletingChildren, rekey(X, Stage::Deleting), Verdict::NotNow),
            (Ours::DeletingChildren, rekey(Y, Stage::Live), Verdict::Normal),
            (Ours::DeletingChildren, Theirs::DeleteChild(Stage::Deleting), Verdict::Crossed),
            (Ours::DeletingChildren, Theirs::DeleteChild(Stage::Live), Verdict::Normal),
            (Ours::DeletingChildren, Theirs::CreateChild, Verdict::Normal),
            (Ours::DeletingChildren, Theirs::RekeyIkeSa, Verdict::NotNow),
            (Ours::DeletingChildren, Theirs::DeleteIkeSa, Verdict::Normal),
            (Ours::CreatingChild, Theirs::CreateChild, Verdict::Normal),
            (Ours::CreatingChild, rekey(X, Stage::Live), Verdict::Normal),
            (Ours::CreatingChild, Theirs::DeleteChild(Stage::Live), Verdict::Normal),
            (Ours::CreatingChild, Theirs::RekeyIkeSa, Verdict::NotNow),
            (Ours::CreatingChild, Theirs::DeleteIkeSa, Verdict::Normal),
            (Ours::Nothing, Theirs::CreateChild, Verdict::Normal),
            (Ours::Nothing, rekey(X, Stage::Live), Verdict::Normal),
            (Ours::Nothing, rekey(X, Stage::Replaced), Verdict::NotNow),
            (Ours::Nothing, rekey(X, Stage::DeleteOwed), Verdict::NotNow),
            (Ours::Nothing, rekey(None, Stage::Live), Verdict::NotFound),
            (Ours::Nothing, rekey(X, Stage::Reserved), Verdict::NotFound),
            (Ours::Nothing, Theirs::DeleteChild(Stage::Live), Verdict::Normal),
        ]);
    }

    /// RFC 7296 §2.8.2, §2.25.2: what meets a procedure about the IKE SA.
    #[test]
    fn ike_sa_procedures() {
        check(&[
            (Ours::RekeyingIkeSa, Theirs::CreateChild, Verdict::NotNow),
            (Ours::RekeyingIkeSa, rekey(X, Stage::Live), Verdict::NotNow),
            (Ours::RekeyingIkeSa, rekey(None, Stage::Live), Verdict::NotNow),
            (Ours::RekeyingIkeSa, Theirs::DeleteChild(Stage::Live), Verdict::Normal),
            (Ours::RekeyingIkeSa, Theirs::RekeyIkeSa, Verdict::Rival),
            (Ours::RekeyingIkeSa, Theirs::DeleteIkeSa, Verdict::Normal),
            (Ours::Succeeded, Theirs::RekeyIkeSa, Verdict::NotNow),
            (Ours::Succeeded, Theirs::CreateChild, Verdict::NotNow),
            (Ours::Succeeded, rekey(X, Stage::Live), Verdict::NotNow),
            (Ours::Succeeded, Theirs::DeleteIkeSa, Verdict::Normal),
            (Ours::ClosingIkeSa, Theirs::RekeyIkeSa, Verdict::NotNow),
            (Ours::ClosingIkeSa, Theirs::CreateChild, Verdict::NotNow),
            (Ours::ClosingIkeSa, rekey(X, Stage::Live), Verdict::NotNow),
            (Ours::ClosingIkeSa, Theirs::DeleteChild(Stage::Live), Verdict::Normal),
            (Ours::ClosingIkeSa, Theirs::DeleteIkeSa, Verdict::Normal),
            (Ours::Nothing, Theirs::RekeyIkeSa, Verdict::Normal),
            (Ours::Nothing, Theirs::DeleteIkeSa, Verdict::Normal),
        ]);
    }

    /// RFC 9370 §2.2.4: what meets the second request of a procedure. Who asks for the same now did not see
    /// the first one.
    #[test]
    fn procedures_with_an_additional_key_exchange() {
        let completing_x = || Ours::CompletingChild(X.expect("legal"));
        check(&[
            (completing_x(), rekey(X, Stage::Live), Verdict::NotNow),
            (completing_x(), rekey(X, Stage::Replaced), Verdict::NotNow),
            (completing_x(), rekey(Y, Stage::Live), Verdict::Normal),
            (completing_x(), rekey(None, Stage::Live), Verdict::NotNow),
            (completing_x(), Theirs::CreateChild, Verdict::Normal),
            (completing_x(), Theirs::DeleteChild(Stage::Live), Verdict::Normal),
            (completing_x(), Theirs::RekeyIkeSa, Verdict::NotNow),
            (completing_x(), Theirs::DeleteIkeSa, Verdict::Normal),
            (Ours::CompletingIkeSa, Theirs::RekeyIkeSa, Verdict::NotNow),
            (Ours::CompletingIkeSa, Theirs::CreateChild, Verdict::NotNow),
            (Ours::CompletingIkeSa, rekey(X, Stage::Live), Verdict::NotNow),
            (Ours::CompletingIkeSa, rekey(None, Stage::Live), Verdict::NotNow),
            (Ours::CompletingIkeSa, Theirs::DeleteChild(Stage::Live), Verdict::Normal),
            (Ours::CompletingIkeSa, Theirs::DeleteIkeSa, Verdict::Normal),
        ]);
    }
}
