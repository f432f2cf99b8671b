namespace Phi3VCluster.Training.Data;

/// <summary>
/// Draws the order of a sample's turns anew each epoch, for rows whose turns are independent questions about one picture.
/// </summary>
public static class TurnOrder
{
    /// <summary>
    /// Permutes the questions with their answers, a pure function of (seed, epoch, sample id); the images stay on the first turn, and so do
    /// their tags in front of its question. A sample with images on a later turn, or tags elsewhere, is returned as it is: its questions
    /// are bound to them.
    /// </summary>
    public static Sample Shuffle(Sample sample, int seed, int epoch)
    {
        var turns = sample.Turns.ToArray();
        var tags = $"{ImageTags.Joined(1, turns[0].Images.Count)}\n"; // put back with the images
        if (turns[0].Images.Count > 0 && turns[0].User.StartsWith(tags, StringComparison.Ordinal))
            turns[0] = turns[0] with { User = turns[0].User[tags.Length..] };
        if (turns.Length < 2 || turns.Skip(1).Any(turn => turn.Images.Count > 0) || turns.Any(turn => ImageTags.AreIn(turn.User)))
            return sample;
        SplitMix64.For("turns", seed, epoch, sample.Id).Shuffle<Turn>(turns);
        return sample with { Turns = [.. turns.Select((turn, place) => turn with { Images = place == 0 ? sample.Turns[0].Images : [] })] };
    }
}
