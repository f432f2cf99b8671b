namespace Phi3VCluster.Samples;

/// <summary>
/// Sizes of a <see cref="TinyCheckpoint"/>; the architecture is Phi-3-Vision's whatever they are. The defaults are those that learn
/// the quickstart's pages: a tower 32 wide reached 0.24 ANLS there, a decoder 96 wide 0.45.
/// </summary>
/// <param name="TowerLayers">One more than the layers at work: the last layer's output is never used.</param>
/// <param name="NumCrops">Written as the image processor's default.</param>
public sealed record TinySizes(
    int Hidden = 64, int Intermediate = 128, int Layers = 2, int Heads = 4, int KeyValueHeads = 4,
    int TowerHidden = 64, int TowerIntermediate = 128, int TowerLayers = 2, int TowerHeads = 2, int NumCrops = 1)
{
    public const int Patch = 14;
    public const int Image = 336;

    /// <summary>For tests in which nothing needs to be learnt.</summary>
    public static readonly TinySizes Smallest = new(
        Hidden: 16, Intermediate: 32, Layers: 2, Heads: 2, KeyValueHeads: 2,
        TowerHidden: 16, TowerIntermediate: 32, TowerLayers: 2, TowerHeads: 2);

    internal int HeadSize => Hidden / Heads;

    /// <summary>Patches of a crop and the class token.</summary>
    internal int TowerPositions => Image / Patch * (Image / Patch) + 1;

    /// <summary>Four neighbouring patches make one image token.</summary>
    internal int MergedPatch => 4 * TowerHidden;

    /// <exception cref="ArgumentException">No such model exists.</exception>
    internal void Validate()
    {
        if (Hidden % (2 * Heads) != 0)
            throw new ArgumentException($"Hidden: must be an even multiple of Heads, got {Hidden} and {Heads}.");
        if (Heads % KeyValueHeads != 0)
            throw new ArgumentException($"Heads: must be a multiple of KeyValueHeads, got {Heads} and {KeyValueHeads}.");
        if (TowerHidden % TowerHeads != 0)
            throw new ArgumentException($"TowerHidden: must be a multiple of TowerHeads, got {TowerHidden} and {TowerHeads}.");
        if (TowerLayers < 2)
            throw new ArgumentException($"TowerLayers: must be at least 2, as the last one is not used, got {TowerLayers}.");
    }
}
