namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>Mistakes that a simpler design would make. The simulation must find each of them.</summary>
internal enum Bug
{
    None,
    /// <summary>A seat obeys whoever commands, however old the command is.</summary>
    SeatsIgnoreVersions,
    /// <summary>Versions do not grow, so that no command can be told to be old.</summary>
    VersionsStandStill,
    /// <summary>Commands go out before the state that they follow from is stored.</summary>
    SendsBeforeItStores,
    /// <summary>All adopt the state of rank 0, whatever it is.</summary>
    RankZeroIsTheSource,
    /// <summary>A seat that breaks off within an update offers what it has.</summary>
    OffersTornState,
    /// <summary>A seat adopts the step of the source and keeps its own values.</summary>
    AdoptsTheStepAlone,
    /// <summary>Who did not hear that it was taken is not told again.</summary>
    TakesOnce,
    /// <summary>Who did not hear of its generation is not told again.</summary>
    JoinsOnce,
    /// <summary>A generation is held to be over when the first has parked.</summary>
    RegroupsWithoutWaiting,
    /// <summary>A seat that parked before its generation is held to have left it.</summary>
    NotJoinedIsLeft,
    /// <summary>Nobody looks at the clock.</summary>
    DeadlinesNeverCome,
    /// <summary>The loss of a silo is the loss of its node, with the silo that it has now.</summary>
    LossesNameNodes,
    /// <summary>A seat that was told to leave is free at once, whatever its thread does.</summary>
    OccupiedIsFree,
    /// <summary>A seat that the run gave up is not told so by the answer to its report.</summary>
    StaleSeatsAreNotTold,
    /// <summary>A seat that has finished goes.</summary>
    FinishedGoes,
    /// <summary>A heartbeat of a silo that is dead is taken for one of its node's next.</summary>
    LateHeartbeatsCount,
    /// <summary>What a run wants is given to it however long ago it said so.</summary>
    OldAnswersCount,
    /// <summary>A seat that is to be given away says that its state is on the disk before it is.</summary>
    SaysItKeptWhatItDidNot,
    /// <summary>Older snapshots are dropped when a new one is begun.</summary>
    DropsBeforeItCounts,
    /// <summary>A snapshot counts when every rank has made its own part.</summary>
    OneCopyCounts,
    /// <summary>A rank's buddy is the next rank, whatever node that is on.</summary>
    BuddiesAreNeighbours,
    /// <summary>Of what a generation was restored from, nothing older is kept.</summary>
    DropsWhatCountedLast,
    /// <summary>A silo that dies is not told of.</summary>
    LossesAreNotTold,
}
