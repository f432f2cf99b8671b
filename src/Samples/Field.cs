namespace Phi3VCluster.Samples;

/// <summary>One labelled field of a page, and what is asked about it.</summary>
/// <param name="Label">Printed small above the value.</param>
/// <param name="Band">The colour behind it, which is enough to find the field by.</param>
/// <param name="Question">Its words are single tokens of <see cref="TinyCheckpoint"/>; hence the blank before the question mark.</param>
/// <param name="Values">Drawn independently of the other fields, so that a right answer must have been read.</param>
internal sealed record Field(string Label, Rgb Band, string Question, IReadOnlyList<string> Values)
{
    /// <summary>The best constant answer to each question is right once in eight times: ANLS 0.125 is the guessing level.</summary>
    public static readonly IReadOnlyList<Field> All =
    [
        new("NAME", new(90, 140, 255), "Who is the customer ?",
            ["ANNA", "BORIS", "CLARA", "DAVID", "ELENA", "FELIX", "GRETA", "HUGO"]),
        new("CITY", new(255, 110, 110), "Where does it go ?",
            ["ATHENS", "BERLIN", "CAIRO", "DUBLIN", "ESSEN", "GENEVA", "KYOTO", "LISBON"]),
        new("ITEM", new(90, 210, 90), "What was bought ?",
            ["APPLES", "BREAD", "CHAIRS", "DESKS", "ENGINE", "FLOUR", "GLASS", "HONEY"]),
        new("DUE", new(255, 200, 40), "When is it due ?",
            ["JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST"]),
    ];
}

internal readonly record struct Rgb(byte Red, byte Green, byte Blue)
{
    public static readonly Rgb White = new(255, 255, 255);

    /// <summary>As a 32-bit pixel with the bytes R, G, B, unused in memory (little-endian).</summary>
    public uint Pixel => Red | (uint)Green << 8 | (uint)Blue << 16 | 0xFF000000;
}
