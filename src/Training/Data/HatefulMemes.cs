using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>The <c>hateful_memes</c> part of <see cref="Cauldron"/>: is this meme hateful? A row's first text is taken.</summary>
internal sealed class HatefulMemes : IDataset
{
    public string Name => "hateful-memes";
    public int HeldOutRows => 500;

    public IDatasetReader Open(DataSpec spec, string pathOrGlob) =>
        Cauldron.Open(spec, pathOrGlob, SampleKind.Conversation, (texts, images) => [texts[0].With(images)]);
}
