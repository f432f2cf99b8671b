namespace Phi3VCluster.Training;

/// <summary>One row of a dataset, whatever its format: what Data reads and Processing encodes.</summary>
/// <param name="Id">The dataset's own name for the row; random choices about the sample are drawn from it.</param>
/// <param name="Turns">At least one.</param>
/// <param name="Kind">What the turns are to each other.</param>
/// <param name="System">What the model is told before the first turn; may be empty.</param>
public sealed record Sample(string Id, IReadOnlyList<Turn> Turns, SampleKind Kind = SampleKind.Conversation, string System = "");

/// <summary>What the turns of a sample are to each other, where it has several.</summary>
public enum SampleKind
{
    /// <summary>All are trained; evaluation asks the last, after those before it.</summary>
    Conversation,

    /// <summary>All are trained; evaluation asks the first.</summary>
    Questions,

    /// <summary>Each is whole, with its own images: training draws one of them, evaluation asks the first.</summary>
    Alternatives,
}

/// <summary>A question and its answer.</summary>
/// <param name="Images">Pictures that the question brings along; may be none.</param>
/// <param name="User">
/// The question. Image tags are put in front of it, unless it already holds <c>&lt;|image_k|&gt;</c> tags of its own, numbered from 1.
/// </param>
/// <param name="Answers">Accepted answers, at least one; training draws one of them, evaluation takes the best.</param>
public sealed record Turn(IReadOnlyList<IImageSource> Images, string User, IReadOnlyList<string> Answers);

/// <summary>Where an image file's bytes come from; cheap to hold, read when needed.</summary>
public interface IImageSource
{
    /// <summary>Names the image in messages: a path, or a data file and row.</summary>
    string Description { get; }

    /// <summary>The image's own file; null where it is a part of a data file.</summary>
    string? File => null;

    /// <summary>Whether the picture is turned as its EXIF orientation says; if not, it stays as it is stored.</summary>
    bool IsTurnedUpright => false;

    /// <summary>The image file's bytes, still encoded. Thread-safe.</summary>
    /// <exception cref="Spec.InputException">The file is gone or cannot be read.</exception>
    byte[] Read();

    /// <summary>The first bytes of those, for looks at a header: at most <paramref name="most"/> where that is cheaper, else all.</summary>
    /// <exception cref="Spec.InputException">As for <see cref="Read"/>.</exception>
    byte[] ReadBeginning(int most) => Read();
}
