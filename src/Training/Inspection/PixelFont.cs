namespace Phi3VCluster.Training.Inspection;

/// <summary>A bitmap font of printable ASCII, 5 pixels wide and 7 high, for machines without fonts: slim containers have none.</summary>
internal static class PixelFont
{
    public const int Width = 5, Height = 7;

    private const char First = ' ', Last = '~';

    // Five columns a character as bytes in hexadecimal; the lowest bit is the top pixel.
    private const string Columns =
        "000000000000005F00000007000700147F147F14242A7F2A12231308646236495522500005030000001C2241000041221C00" +
        "14083E081408083E080800503000000808080808006060000020100804023E5149453E00427F400042615149462141454B31" +
        "1814127F1027454545393C4A49493001710905033649494936064949291E0036360000005636000008142241001414141414" +
        "00412214080201510906324979413E7E1111117E7F494949363E414141227F4141221C7F494949417F090909013E4149497A" +
        "7F0808087F00417F41002040413F017F081422417F404040407F020C027F7F0408107F3E4141413E7F090909063E4151215E" +
        "7F09192946464949493101017F01013F4040403F1F2040201F3F4038403F631408146307087008076151494543007F414100" +
        "02040810200041417F0004020102044040404040000102040020545454787F484444383844444420384444487F3854545418" +
        "087E0901020C5252523E7F0804047800447D40002040443D007F1028440000417F40007C041804787C080404783844444438" +
        "7C14141408081414187C7C080404084854545420043F4440203C4040207C1C2040201C3C4030403C44281028440C5050503C" +
        "4464544C44000836410000007F000000413608001008081008";

    private static readonly byte[] Bits = Convert.FromHexString(Columns);

    // What it has instead of letters with accents and of printers' marks. Not by Unicode's tables, which slim containers lack as well.
    private const string Others =
        "ÀÁÂÃÄÅĄÇĆČÈÉÊËĘĚÌÍÎÏŁÑŃÒÓÔÕÖØŐŚŠÙÚÛÜŰÝŹŻŽàáâãäåąçćčèéêëęěìíîïłñńòóôõöøőśšùúûüűýÿźżž‘’“”„‚–—−×…·•→\u00A0";
    private const string Plain =
        "AAAAAAACCCEEEEEEIIIILNNOOOOOOOSSUUUUUYZZZaaaaaaaccceeeeeeiiiilnnooooooossuuuuuyyzzz''\"\"\",---x...>\u0020";

    public static bool Has(int character) => character is >= First and <= Last;

    /// <summary>The character itself, or what comes next to it; null where nothing does.</summary>
    public static int? Nearest(int character) => Has(character) ? character
        : Others.IndexOf((char)character) is var at and >= 0 && character <= char.MaxValue ? Plain[at] : null;

    public static bool IsInk(int character, int x, int y) => (Bits[(character - First) * Width + x] >> y & 1) != 0;
}
